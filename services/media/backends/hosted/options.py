"""What a config of a hosted backend says about its model, and which slots it may have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from services.kit.errors import Internal
from services.media.domain.output_config import MediaKind, OutputConfig, Slot, Value

# A model's name becomes part of an address: no dot segments, nothing that ends a path.
ModelName = Annotated[
    str,
    Field(
        max_length=200, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]*(/[A-Za-z0-9_][A-Za-z0-9_.:-]*)*$"
    ),
]
InputName = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Scalar = StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, Field(max_length=2000)]
# Wide and high: 1024x1024, 16:9.
Size = Annotated[str, Field(pattern=r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$")]
Ratio = Annotated[str, Field(pattern=r"^[1-9][0-9]?:[1-9][0-9]?$")]
SIDES = ("width", "height")


class HostedOptions(BaseModel):
    """`options` of an output config; each backend has its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: ClassVar[tuple[MediaKind, ...]] = ("image",)
    # Slot and what the API calls it; of the prompt and the seed too.
    slot_inputs: ClassVar[Mapping[str, str]] = {}

    model: ModelName

    def wrong_slots(self, slots: Mapping[str, Slot]) -> Iterator[tuple[str, str]]:
        """Name and reason of every slot this backend cannot take."""
        known = ", ".join(sorted(self.slot_inputs)) or "none"
        for slot in slots.values():
            if slot.name not in self.slot_inputs:
                yield slot.name, f"this backend takes {known}"
            elif slot.kind in ("image", "loras"):
                yield slot.name, f"this backend takes no {slot.kind}"
        if len([side for side in SIDES if side in slots]) == 1:
            yield next(side for side in SIDES if side in slots), "width and height go together"


Options = TypeVar("Options", bound=HostedOptions)


def options_of(config: OutputConfig, kind: type[Options]) -> Options:
    """The options the loader put there. Raises Internal CONFIG_WITHOUT_OPTIONS."""
    options = config.backend_options.get("options")
    if not isinstance(options, kind):
        raise Internal("CONFIG_WITHOUT_OPTIONS", f"{config.name} has no options of its backend")
    return options


def nearest(offered: Sequence[str], values: Mapping[str, Value], sign: str) -> str | None:
    """Of sizes or ratios (`1024x1024`, `16:9`) the one nearest to the shape that is wanted.

    None when none is offered, or none was wanted.
    """
    sides = [values.get(side) for side in SIDES]
    if not offered or not all(isinstance(side, int) and side > 0 for side in sides):
        return None
    width, height = (float(str(side)) for side in sides)

    def distance(one: str) -> float:
        wide, high = (float(part) for part in one.split(sign))
        shape = (wide / high) / (width / height)
        # Twice as wide is as far away as twice as high.
        return max(shape, 1 / shape)

    return min(offered, key=distance)
