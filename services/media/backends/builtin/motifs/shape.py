"""What a motif consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.media.backends.builtin.geometry import Points

# main, second: the thing itself and its other half; accent: what catches the eye; stem, leaf:
# plants; dark, light: eyes, windows, shadows; glow: a lamp.
Role = Literal["main", "second", "accent", "stem", "leaf", "dark", "light", "glow"]
Anchor = Literal["ground", "air", "water"]


@dataclass(frozen=True, slots=True)
class Shape:
    """One or more outlines of one role, painted together."""

    role: Role
    outlines: tuple[Points, ...]

    @classmethod
    def of(cls, role: Role, *outlines: Points) -> Shape:
        """Shorter to write."""
        return cls(role, outlines)


@dataclass(frozen=True, slots=True)
class Motif:
    """Shapes from back to front. `size` is its natural height compared with a person's."""

    name: str
    anchor: Anchor
    shapes: tuple[Shape, ...]
    size: float = 1.0
    # Colour it has by nature, when nobody names one (a name of palette.NAMED).
    colour: str | None = None
