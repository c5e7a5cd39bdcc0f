"""Settings of the gateway: ``ARTLAB_GATEWAY_<NAME>``."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from services.kit.settings import (
    DEFAULT_PORTS,
    CommaSeparated,
    Port,
    Settings,
    Target,
    Targets,
    default_target,
)

_HOST_NAME = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9._-]{1,253}", re.ASCII)


class GatewaySettings(Settings):
    """What the gateway needs to know."""

    port: Port = Field(DEFAULT_PORTS["gateway"], description="port to listen on")
    orchestrator_target: Targets = Field(
        default_target("orchestrator"),
        description="where the orchestrator listens; several addresses, with commas, are replicas",
    )
    recorder_target: Target = Field(
        default_target("recorder"), description="where the recorder listens"
    )
    safety_target: Target = Field(default_target("safety"), description="where safety listens")
    interception_target: Target = Field(
        default_target("interception"), description="where interception listens"
    )
    media_target: Target = Field(default_target("media"), description="where media listens")
    allowed_hosts: CommaSeparated = Field(
        (),
        max_length=64,
        description="host names, besides loopback, under which people reach this server",
    )

    @field_validator("allowed_hosts")
    @classmethod
    def _host_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if _HOST_NAME.fullmatch(host) is None:
                raise ValueError("expected host names or addresses, without scheme and port")
        return hosts

    audience: Literal["student", "advanced", "research"] = Field(
        "research",
        description="what everybody who reaches this server may see of runs: student (final "
        "outputs and explanations), advanced (the process), research (everything)",
    )
    teacher_decisions: bool = Field(
        False,
        description="whether whoever reaches this server decides as a teacher, until there is "
        "sign-in: approves outputs before they are shown; never with the audience student",
    )

    @field_validator("teacher_decisions")
    @classmethod
    def _not_for_students(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("audience") == "student":
            raise ValueError("not on a server for students; let teachers have one of their own")
        return value

    wait_seconds: float = Field(
        300.0, ge=1.0, le=3600.0, description="longest wait of an execute request for its run"
    )
    max_connections: int = Field(
        2_000, ge=10, le=50_000, description="open connections; more are answered 503"
    )
    max_event_streams: int = Field(
        1_500, ge=1, le=50_000, description="open event streams; more are answered 429"
    )
    max_waiting_runs: int = Field(
        200, ge=1, le=10_000, description="execute requests that wait at the same time"
    )
    run_starts_per_minute: int = Field(
        120, ge=1, le=100_000, description="runs one client address may start in a minute"
    )
