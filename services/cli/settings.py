"""Settings of the command line: ``ARTLAB_CLI_<NAME>``."""

from __future__ import annotations

from pydantic import Field

from services.kit.settings import DEFAULT_PORTS, Port, Settings

DEFAULT_URL = f"http://127.0.0.1:{DEFAULT_PORTS['gateway']}"


class CliSettings(Settings):
    """What the `artlab` command needs to know; most have an option as well."""

    url: str = Field(
        DEFAULT_URL,
        description="the gateway that `artlab run` talks to",
        pattern=r"^https?://[^\s]{1,500}$",
    )
    logs: str = Field(
        ".run/logs",
        description="folder for the logs of the services that `artlab up` starts",
        min_length=1,
        max_length=1000,
    )
    nats_port: Port = Field(
        17807, description="where the NATS server of `artlab up --queue nats` listens"
    )
    start_seconds: float = Field(
        60.0, description="how long all services together may take to start", ge=1.0, le=600.0
    )
