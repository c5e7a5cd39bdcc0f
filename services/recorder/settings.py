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
    max_import_bytes: int = Field(
        64 * 1024**3,
        ge=1024,
        le=2**50,
        description="largest archive that may be imported in bytes, and all that is in it",
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
    tombstones: Path | None = Field(
        None,
        description="folder that remembers deleted runs, made if its parent exists; unset:"
        " .tombstones below the root. Keep it out of what a backup restores, so that a restored"
        " run that was deleted is deleted again",
    )
    retention_days: float = Field(
        0.0,
        ge=0,
        le=36500,
        description="days after their end for which runs are kept, favourites longer; 0: for ever",
    )
    retention_interval_seconds: float = Field(
        3600.0, ge=1, le=7 * 86400, description="how often at most 5 % of the runs may be deleted"
    )
    scrub_bytes_per_second: float = Field(
        20e6, ge=0, le=1e12, description="how fast runs are checked for damage; 0: never"
    )
    scrub_interval_seconds: float = Field(
        7 * 86400.0,
        ge=60,
        le=366 * 86400,
        description="how long after a check of all runs began the next one begins",
    )
    run_limit_seconds: float = Field(
        3600.0, ge=1, le=86400, description="when a run is ended if its creator set no deadline"
    )

    @field_validator("tracker")
    @classmethod
    def _known_tracker(cls, value: SecretStr) -> SecretStr:
        check_tracker(value.get_secret_value())
        return value
