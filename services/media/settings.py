"""The settings of the media service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from services.kit.catalogue import CONFIGS
from services.kit.settings import (
    DEFAULT_PORTS,
    CommaSeparated,
    Port,
    Target,
    default_target,
)
from services.media.hosted_settings import HostedSettings

GIB = 1024**3


class MediaSettings(HostedSettings):
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
    comfyui_unload: Literal["never", "after_job"] = Field(
        "never",
        description="when ComfyUI unloads its models: after_job gives the card back when none of"
        " our jobs is there; loading them again takes seconds, which every output tells",
    )
    ollama_url: str = Field(
        "",
        max_length=200,
        description="an Ollama whose models are unloaded before a job at a ComfyUI on the same"
        " host, because they share a card; empty: never",
    )
    comfyui_previews: bool = Field(
        True, description="ask ComfyUI for small pictures of the work in progress"
    )
    comfyui_queue: int = Field(
        64, ge=1, le=1024, description="jobs that wait for a free ComfyUI at once; others come back"
    )
    max_media_bytes: int = Field(
        2 * GIB, ge=1024, le=64 * GIB, description="larger outputs are refused"
    )
    # Not fewer than an orchestrator has runs in work; one that waits costs next to nothing.
    max_jobs: int = Field(128, ge=1, le=1024, description="jobs in work or waiting at once")
    builtin_concurrency: int = Field(
        2, ge=1, le=64, description="pictures the built-in renderer draws at once"
    )
    state: Path = Field(
        Path(".run/media"),
        description="folder where it is written down which job was handed in to which ComfyUI, so"
        " that a restart makes nothing twice; copies on one machine may share it",
    )
    decoders: int = Field(
        2, ge=1, le=32, description="processes that look into files and pictures at once"
    )
    spool: Path | None = Field(
        None,
        description="folder on a disk for files while they are looked at; unset: /var/tmp, or"
        " where that cannot be written the system's folder for temporary files",
    )
    configs: Path = Field(CONFIGS, description="folder of the catalogue")

    @field_validator("allow_remote_comfyui")
    @classmethod
    def _keeps_the_lock(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("local_only"):
            raise ValueError("ARTLAB_MEDIA_LOCAL_ONLY forbids what is not on our own network")
        return value
