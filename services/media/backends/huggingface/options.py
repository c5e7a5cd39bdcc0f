"""What a config says about Hugging Face inference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from services.media.backends.hosted.options import HostedOptions, InputName, Scalar


class HuggingFaceOptions(HostedOptions):
    """`model` as on the Hub; `parameters` go along as they are."""

    slot_inputs: ClassVar[Mapping[str, str]] = {
        "negative_prompt": "negative_prompt",
        "width": "width",
        "height": "height",
        "steps": "num_inference_steps",
        "cfg": "guidance_scale",
        "guidance": "guidance_scale",
        "scheduler": "scheduler",
    }

    parameters: Mapping[InputName, Scalar] = Field(default_factory=dict, max_length=32)
