"""Settings of the orchestrator, ``ARTLAB_ORCHESTRATOR_…``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from services.kit.catalogue import CONFIGS
from services.kit.settings import DEFAULT_PORTS, Port, Settings, Target, default_target


class OrchestratorSettings(Settings):
    """Where its peers are and how much it takes on."""

    port: Port = Field(DEFAULT_PORTS["orchestrator"], description="port to listen on")
    recorder_target: Target = Field(default_target("recorder"), description="the recorder")
    safety_target: Target = Field(default_target("safety"), description="the safety service")
    interception_target: Target = Field(
        default_target("interception"), description="the interception service"
    )
    media_target: Target = Field(default_target("media"), description="the media service")
    configs: Path = Field(
        CONFIGS, description="folder of the catalogue; pipelines are in pipelines/"
    )
    queue: Literal["embedded", "nats"] = Field(
        "embedded", description="how runs find a driver: the recorder's list, or NATS JetStream"
    )
    nats_url: str = Field(
        "nats://127.0.0.1:4222", pattern=r"^(nats|tls)://[^\s]+$", description="the NATS server"
    )
    nats_stream: str = Field(
        "artlab_runs", pattern=r"^[a-z0-9_]{1,32}$", description="its stream; one for each recorder"
    )
    max_runs: int = Field(100, ge=1, le=10_000, description="runs this process drives at once")
    max_open_runs: int = Field(
        1000, ge=1, le=100_000, description="runs of all processes that wait or are in work"
    )
    max_runs_per_person: int = Field(
        250, ge=1, le=100_000, description="runs of one person that wait or are in work"
    )
    outputs_at_once: int = Field(
        2, ge=1, le=16, description="outputs of one run that are made at once"
    )
    max_outputs: int = Field(
        100, ge=1, le=10_000, description="outputs of all runs that this process makes at once"
    )
    late_grace_seconds: float = Field(
        10.0,
        ge=0.0,
        le=300.0,
        description="how long a run waits for an output that is late before it ends without it",
    )
    claim_ttl_seconds: float = Field(
        5.0, ge=0.5, le=60.0, description="after which time others go on with a run of the dead"
    )
    run_limit_seconds: float = Field(
        1800.0, ge=1.0, le=86_000.0, description="how long one run may take"
    )
    patience_seconds: float = Field(
        30.0, ge=0.0, le=600.0, description="how long a run waits for a service that is away"
    )
    recorder_patience_seconds: float = Field(
        60.0, ge=0.0, le=600.0, description="how long a run waits for a recorder that is away"
    )
