"""The settings of the media service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from services.kit.catalogue import CONFIGS
from services.kit.settings import (
    DEFAULT_PORTS,
    CommaSeparated,
    Port,
    Settings,
    Target,
    default_target,
)

GIB = 1024**3


class MediaSettings(Settings):
    """``ARTLAB_MEDIA_<NAME>``."""

    port: Port = Field(DEFAULT_PORTS["media"], description="port to listen on")
    recorder_target: Target = Field(
        default_target("recorder"), description="where the recorder listens"
    )
    comfyui_urls: CommaSeparated = Field(
        (), max_length=64, description="ComfyUI instances, http://host:port, comma separated"
    )
    allow_remote_comfyui: bool = Field(
        False, description="accept ComfyUI hosts that are neither loopback nor private"
    )
    max_media_bytes: int = Field(
        2 * GIB, ge=1024, le=64 * GIB, description="larger outputs are refused"
    )
    # Not fewer than an orchestrator has runs in work; one that waits costs next to nothing.
    max_jobs: int = Field(128, ge=1, le=1024, description="jobs in work or waiting at once")
    builtin_concurrency: int = Field(
        2, ge=1, le=64, description="pictures the built-in renderer draws at once"
    )
    configs: Path = Field(CONFIGS, description="folder of the catalogue")
