"""What a config says about a chat API with pictures in its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from services.media.backends.hosted.options import HostedOptions, Ratio


class OpenRouterOptions(HostedOptions):
    """`aspect_ratios` the model draws: the one nearest in shape to width and height."""

    slot_inputs: ClassVar[Mapping[str, str]] = {"width": "", "height": ""}

    # Models that answer with pictures only want to be asked for those only.
    modalities: Annotated[
        tuple[Literal["image", "text"], ...], Field(min_length=1, max_length=2)
    ] = ("image", "text")
    aspect_ratios: tuple[Ratio, ...] = Field(default=(), max_length=16)
