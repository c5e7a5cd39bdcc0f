"""Output configs: one way to make one output, with typed slots. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from services.kit.errors import InvalidArgument
from services.kit.text import parse_text
from services.media.domain.lora import Lora, parse_loras, written_loras

MAX_SLOT_CHARACTERS = 2_000

Value = int | float | str | bool
MediaKind = Literal["text", "image", "audio", "music", "video", "code"]
SlotKind = Literal["integer", "number", "choice", "text", "boolean", "image", "loras"]


@dataclass(frozen=True, slots=True)
class Slot:
    """A value a request may set, with its bounds.

    Bounds hold for integer and number, and for the strengths of loras. `multiple_of` holds for
    integer only: latent sizes come in steps of 16, frames of a film in steps of 4 and one more
    (`remainder` 1). The value of kind image is a picture that is sent along, never a name; of
    kind loras names of `loras`, `at_most` so many, written as `watercolour:0.8, lineart`.
    """

    name: str
    kind: SlotKind
    default: Value
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    multiple_of: int | None = None
    remainder: int = 0
    loras: Mapping[str, Lora] = field(default_factory=dict)
    at_most: int = 1

    def parse(self, value: object, field: str) -> Value:
        """Return value as this slot's kind. Raises InvalidArgument INVALID_PARAMETER.

        A text also raises what `services.kit.text.parse_text` does.
        """
        if self.kind == "boolean" and isinstance(value, bool):
            return value
        if self.kind == "text" and isinstance(value, str) and len(value) <= MAX_SLOT_CHARACTERS:
            return parse_text(value, field, optional=True)
        if self.kind == "choice" and isinstance(value, str) and value in self.choices:
            return value
        if self.kind == "loras" and isinstance(value, str):
            with suppress(ValueError):
                return written_loras(parse_loras(value, self))
        if self.kind in ("integer", "number") and not isinstance(value, bool):
            wanted = (int,) if self.kind == "integer" else (int, float)
            if isinstance(value, wanted) and self._within(float(value)):
                return value
        raise InvalidArgument("INVALID_PARAMETER", f"expected {self.describe()}", field=field)

    def describe(self) -> str:
        """What is accepted, for error messages."""
        if self.kind == "choice":
            return f"one of {', '.join(self.choices)}"
        if self.kind == "text":
            return f"text of at most {MAX_SLOT_CHARACTERS} characters"
        if self.kind == "image":
            return "a picture, which is uploaded and never named"
        if self.kind == "loras":
            known = ", ".join(self.loras)
            return (
                f"at most {self.at_most} of {known}, each with a strength from {self.minimum:g} "
                f"to {self.maximum:g} if wanted, as in {next(iter(self.loras))}:{self.maximum:g}"
            )
        bounds = f" from {self.minimum:g}" if self.minimum is not None else ""
        bounds += f" to {self.maximum:g}" if self.maximum is not None else ""
        bounds += f", a multiple of {self.multiple_of}" if self.multiple_of is not None else ""
        bounds += f" and {self.remainder} more" if self.remainder else ""
        return f"{self.kind}{bounds}"

    def _within(self, value: float) -> bool:
        # NaN compares false with everything, so it is refused wherever there is a bound.
        low = self.minimum is None or value >= self.minimum
        step = self.multiple_of is None or value % self.multiple_of == self.remainder
        return low and step and (self.maximum is None or value <= self.maximum) and value == value


@dataclass(frozen=True, slots=True)
class Cost:
    """What each file costs, as the operator knows it; `currency` by ISO 4217."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class OutputConfig:
    """One entry of configs/output/."""

    name: str
    kind: MediaKind
    backend: str
    title: Mapping[str, str]
    slots: Mapping[str, Slot]
    deadline_seconds: float = 300.0
    # Whether texts that the backend wrote into a picture stay in it: ComfyUI writes the prompt.
    keep_metadata: bool = False
    # How its model wants a prompt, e.g. "tags"; empty means as it was written.
    prompt_style: str = ""
    # What the backend needs to know, e.g. the workflow of ComfyUI; parsed by the backend's loader.
    backend_options: Mapping[str, object] = field(default_factory=dict)
    cost: Cost | None = None
    # Names of the configs that take over, in order, when this one cannot make it.
    fallback: tuple[str, ...] = ()

    def values(self, parameters: Mapping[str, object]) -> dict[str, Value]:
        """Return a value for every slot but images: the request's where given, else the default.

        Raises InvalidArgument UNKNOWN_PARAMETER or INVALID_PARAMETER with the field's path.
        """
        for name in parameters:
            if name not in self.slots:
                known = ", ".join(sorted(self.slots)) or "none"
                raise InvalidArgument(
                    "UNKNOWN_PARAMETER",
                    f"{self.name} has no such parameter; known are {known}",
                    field=f"parameters.{name}"[:200],
                )
        return {
            name: slot.parse(parameters[name], f"parameters.{name}")
            if name in parameters
            else slot.default
            for name, slot in self.slots.items()
            if slot.kind != "image" or name in parameters
        }

    def check_images(self, given: Collection[str]) -> None:
        """Raise InvalidArgument unless there is a picture for each image slot and for no other.

        INPUT_IMAGE_REQUIRED, UNKNOWN_PARAMETER with the field's path.
        """
        for name in given:
            if name not in self.image_slots:
                raise InvalidArgument(
                    "UNKNOWN_PARAMETER",
                    f"{self.name} takes no picture there",
                    field=f"input_images.{name}"[:200],
                )
        for name in self.image_slots:
            if name not in given:
                raise InvalidArgument(
                    "INPUT_IMAGE_REQUIRED",
                    f"{self.name} works from a picture",
                    field=f"input_images.{name}",
                )

    @property
    def image_slots(self) -> tuple[str, ...]:
        """The slots that take a picture; it cannot be made without one for each."""
        return tuple(name for name, slot in self.slots.items() if slot.kind == "image")
