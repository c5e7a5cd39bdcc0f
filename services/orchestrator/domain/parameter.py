"""What a slot of an output takes, as the media service tells it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

# Empty for a kind from the future: media knows what it takes.
ParameterKind = Literal["", "integer", "number", "choice", "text", "boolean", "loras"]


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """The bounds of a slot.

    `minimum` and `maximum` are of integers and numbers, and of the strengths of loras;
    `multiple_of` (0: any) and `remainder` of integers; `choices` of a choice, and the names of
    loras, of which there may be `at_most` so many; `max_characters` of a text.
    """

    name: str
    kind: ParameterKind
    minimum: float = -math.inf
    maximum: float = math.inf
    multiple_of: int = 0
    remainder: int = 0
    choices: tuple[str, ...] = ()
    at_most: int = 0
    max_characters: int = 0

    def takes(self, value: bool | int | float | str) -> bool:
        """Whether a value is within the bounds."""
        match self.kind:
            case "boolean":
                return isinstance(value, bool)
            case "integer" | "number":
                return self._takes_number(value)
            case "choice":
                return isinstance(value, str) and value in self.choices
            case "text":
                return isinstance(value, str) and len(value) <= self.max_characters
            case "loras":
                return isinstance(value, str) and self._takes_loras(value)
        return True

    def describe(self) -> str:
        """Return what is expected, for people."""
        match self.kind:
            case "choice":
                return f"one of {', '.join(self.choices)}"
            case "text":
                return f"text of at most {self.max_characters} characters"
            case "boolean":
                return "true or false"
            case "loras":
                known = ", ".join(self.choices)
                return f"at most {self.at_most} of {known}, each with a strength{self._bounds()}"
        step = f", a multiple of {self.multiple_of}" if self.multiple_of else ""
        step += f" and {self.remainder} more" if self.remainder else ""
        return f"{self.kind}{self._bounds()}{step}"

    def _bounds(self) -> str:
        low = f" from {self.minimum:.10g}" if math.isfinite(self.minimum) else ""
        return low + (f" to {self.maximum:.10g}" if math.isfinite(self.maximum) else "")

    def _takes_number(self, value: bool | int | float | str) -> bool:
        if isinstance(value, bool | str) or (self.kind == "integer" and isinstance(value, float)):
            return False
        step = not self.multiple_of or value % self.multiple_of == self.remainder
        return step and self._is_within(value)

    def _is_within(self, value: float) -> bool:
        return math.isfinite(value) and self.minimum <= value <= self.maximum

    def _takes_loras(self, text: str) -> bool:
        names = []
        for part in text.split(",") if text.strip() else ():
            name, colon, strength = (found.strip() for found in part.partition(":"))
            try:
                fits = not colon or self._is_within(float(strength))
            except ValueError:
                return False
            if not fits or name not in self.choices or name in names:
                return False
            names.append(name)
        return len(names) <= self.at_most
