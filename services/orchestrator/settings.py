"""Settings of the orchestrator, ``ARTLAB_ORCHESTRATOR_…``."""

from __future__ import annotations

from pydantic import Field

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
    max_runs: int = Field(100, ge=1, le=10_000, description="runs in work at once")
    run_limit_seconds: float = Field(
        1800.0, ge=1.0, le=86_000.0, description="how long one run may take"
    )
    patience_seconds: float = Field(
        30.0, ge=0.0, le=600.0, description="how long a run waits for a service that is away"
    )
    recorder_patience_seconds: float = Field(
        60.0, ge=0.0, le=600.0, description="how long a run waits for a recorder that is away"
    )
