"""What a config says about the OpenAI Images API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from services.media.backends.hosted.options import HostedOptions, Size


class OpenAIImagesOptions(HostedOptions):
    """`sizes` the model draws: the one nearest in shape to width and height is asked for."""

    slot_inputs: ClassVar[Mapping[str, str]] = {
        "width": "",
        "height": "",
        "quality": "quality",
        "background": "background",
    }

    sizes: tuple[Size, ...] = Field(default=(), max_length=16)
    output_format: Literal["png", "jpeg", "webp"] = "png"
    # The API's own filter: low lets more through.
    moderation: Literal["auto", "low"] = "auto"
