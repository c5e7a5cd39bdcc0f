"""Settings of the recorder: ``ARTLAB_RECORDER_<NAME>``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from services.kit.settings import DEFAULT_PORTS, Port, Settings
from services.recorder.tracker.choice import check_tracker


class RecorderSettings(Settings):
    """Where runs live, and the limits that protect the disk."""

    port: Port = Field(DEFAULT_PORTS["recorder"], description="port to listen on")
    root: Path = Field(
        Path("pipeline_runs"),
        description="folder of the run folders; made at start if its parent exists",
    )
    max_entity_bytes: int = Field(
        2 * 1024**3, ge=1024, le=2**40, description="largest entity in bytes"
    )
    uploads_per_run: int = Field(
        16, ge=1, le=1000, description="unfinished uploads one run may have"
    )
    upload_ttl_seconds: float = Field(
        3600.0, ge=1, le=7 * 86400, description="age at which an idle upload is swept"
    )
    reserve_bytes: int = Field(
        16 * 1024**2,
        ge=0,
        le=2**40,
        description="room kept back so that runs can end on a full disk, in bytes; 0: none",
    )
    tracker: SecretStr = Field(
        SecretStr("sqlite"),
        max_length=2000,
        description="where tables of runs and steps are kept for analysis: sqlite (a file below"
        " the root), none, or postgresql://user:password@host:port/database",
    )
    run_limit_seconds: float = Field(
        3600.0, ge=1, le=86400, description="when a run is ended if its creator set no deadline"
    )

    @field_validator("tracker")
    @classmethod
    def _known_tracker(cls, value: SecretStr) -> SecretStr:
        check_tracker(value.get_secret_value())
        return value
