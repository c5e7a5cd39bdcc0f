"""What a config says about a model on Replicate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from services.media.backends.hosted.options import HostedOptions, InputName, Ratio, Scalar
from services.media.domain.output_config import MediaKind, Slot

HostName = Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$", max_length=200)]


class ReplicateOptions(HostedOptions):
    """Every model on Replicate has inputs of its own.

    `inputs` says what the model calls a slot, the prompt or the seed; an empty name leaves it out.
    `aspect_ratios` takes the place of width and height. `output_hosts`: from where files come.
    """

    kinds: ClassVar[tuple[MediaKind, ...]] = ("image", "audio", "music", "video")

    inputs: Mapping[str, InputName | Annotated[str, Field(max_length=0)]] = Field(
        default_factory=dict, max_length=32
    )
    parameters: Mapping[InputName, Scalar] = Field(default_factory=dict, max_length=32)
    aspect_ratios: tuple[Ratio, ...] = Field(default=(), max_length=16)
    output_hosts: tuple[HostName, ...] = Field(default=("replicate.delivery",), max_length=8)

    def input_of(self, name: str) -> str:
        """What the model calls it; empty when it is not sent."""
        return self.inputs.get(name, name)

    def wrong_slots(self, slots: Mapping[str, Slot]) -> Iterator[tuple[str, str]]:
        """Pictures and LoRAs."""
        for slot in slots.values():
            if slot.kind in ("image", "loras"):
                yield slot.name, f"this backend takes no {slot.kind}"
        for name in self.inputs:
            if name not in slots and name not in ("prompt", "seed"):
                yield name, "options.inputs names a slot that is not there"
