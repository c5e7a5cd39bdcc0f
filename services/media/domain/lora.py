"""LoRAs by the names a config gives them: `watercolour:0.8, lineart`. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

MAX_LORAS = 8
MAX_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Lora:
    """A file of the instance's LoRA folder, and its strength when none is given."""

    file: str
    strength: float = 1.0


class LoraSlot(Protocol):
    """What a choice of LoRAs is held against."""

    @property
    def loras(self) -> Mapping[str, Lora]:
        """The names that may be chosen."""
        ...

    @property
    def minimum(self) -> float | None:
        """Least strength."""
        ...

    @property
    def maximum(self) -> float | None:
        """Greatest strength."""
        ...

    @property
    def at_most(self) -> int:
        """How many at once."""
        ...


def parse_loras(text: str, slot: LoraSlot) -> tuple[tuple[str, float], ...]:
    """Return names and strengths in the order given; nothing for an empty text.

    Raises ValueError for a name the slot does not have, one given twice, too many, and a strength
    that is no number or out of bounds.
    """
    if not text.strip():
        return ()
    if len(text) > MAX_CHARACTERS:
        raise ValueError("too long")
    chosen: dict[str, float] = {}
    for part in text.split(","):
        name, colon, written = (found.strip() for found in part.partition(":"))
        if name not in slot.loras or name in chosen:
            raise ValueError("unknown, or given twice")
        strength = float(written) if colon else slot.loras[name].strength
        low = -math.inf if slot.minimum is None else slot.minimum
        high = math.inf if slot.maximum is None else slot.maximum
        if not (math.isfinite(strength) and low <= strength <= high):
            raise ValueError("strength out of bounds")
        chosen[name] = strength
    if len(chosen) > slot.at_most:
        raise ValueError("too many")
    return tuple(chosen.items())


def written_loras(chosen: tuple[tuple[str, float], ...]) -> str:
    """The one way to write a choice: `watercolour:0.8, lineart:1`."""
    return ", ".join(f"{name}:{strength:g}" for name, strength in chosen)
