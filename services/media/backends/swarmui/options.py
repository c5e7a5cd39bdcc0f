"""What a config says about SwarmUI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from services.media.backends.hosted.options import HostedOptions, InputName, Scalar


class SwarmOptions(HostedOptions):
    """`model` as SwarmUI lists it; `parameters` go along as they are."""

    slot_inputs: ClassVar[Mapping[str, str]] = {
        "negative_prompt": "negativeprompt",
        "width": "width",
        "height": "height",
        "steps": "steps",
        "cfg": "cfgscale",
        "sampler": "sampler",
        "scheduler": "scheduler",
    }

    parameters: Mapping[InputName, Scalar] = Field(default_factory=dict, max_length=32)
