"""Settings of the safety service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from services.kit.catalogue import CONFIGS
from services.kit.settings import DEFAULT_PORTS, Port, Settings


class SafetySettings(Settings):
    """``ARTLAB_SAFETY_…``."""

    port: Port = Field(DEFAULT_PORTS["safety"], description="port to listen on")
    level: Literal["kids", "youth", "adult", "research"] = Field(
        "youth", description="the server's safety level; a request may only be stricter"
    )
    configs: Path = Field(
        CONFIGS, description="folder of the catalogue; the policy and the lists are in safety/"
    )
