"""Who talks to whom on one machine: the command, port and environment of each service."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from services.kit.settings import DEFAULT_PORTS, PREFIX, Port, SettingsError

# In the order they are worth starting: what the others wait for comes first.
SERVICES = ("recorder", "safety", "interception", "media", "orchestrator", "gateway")
PEERS: Mapping[str, tuple[str, ...]] = {
    "media": ("recorder",),
    "orchestrator": ("recorder", "safety", "interception", "media"),
    "gateway": ("orchestrator", "recorder", "safety", "interception", "media"),
}
# Each tier is told to stop once the one before is gone: nobody loses who he still talks to.
STOP_TIERS: tuple[tuple[str, ...], ...] = (
    ("gateway",),
    ("orchestrator",),
    ("media", "interception", "safety"),
    ("recorder",),
)
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # a look-up
_PORT: TypeAdapter[int] = TypeAdapter(Port)


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """How to start one service and where it will listen."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    host: str
    port: int

    @property
    def target(self) -> str:
        """host:port to reach it at from this machine."""
        host = _EVERYWHERE.get(self.host, self.host)
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def port_variable(self) -> str:
        """The variable that moves it elsewhere."""
        return f"{PREFIX}{self.name.upper()}_PORT"


def wire(
    environ: Mapping[str, str], ports: Mapping[str, int] | None = None
) -> dict[str, ServiceSpec]:
    """Return what it takes to start the six services beside one another.

    Args:
        environ: the environment to start from; ``ARTLAB_<SERVICE>_PORT`` and ``…_HOST`` are read,
            and targets somebody set on purpose stay.
        ports: by service; they win over the environment.

    Raises SettingsError for a port that is none, and for two services on one port.
    """
    chosen = {name: (ports or {}).get(name) or _port(environ, name) for name in SERVICES}
    _refuse_duplicates(chosen)
    hosts = {name: environ.get(f"{PREFIX}{name.upper()}_HOST", "127.0.0.1") for name in SERVICES}
    specs = {
        name: ServiceSpec(name, _command(name), {}, hosts[name], chosen[name]) for name in SERVICES
    }
    return {
        name: ServiceSpec(
            name, spec.command, _environment(environ, name, specs), spec.host, spec.port
        )
        for name, spec in specs.items()
    }


def _command(name: str) -> tuple[str, ...]:
    # -P: a folder called `services` where the person happens to stand must not be imported.
    return (sys.executable, "-P", "-m", f"services.{name}")


def _environment(
    environ: Mapping[str, str], name: str, specs: Mapping[str, ServiceSpec]
) -> dict[str, str]:
    own = f"{PREFIX}{name.upper()}_"
    targets = {f"{own}{peer.upper()}_TARGET": specs[peer].target for peer in PEERS.get(name, ())}
    # Output that waits in a buffer is missing from the log of a process that was killed.
    return {
        **targets,
        **environ,
        specs[name].port_variable: str(specs[name].port),
        "PYTHONUNBUFFERED": "1",
    }


def _port(environ: Mapping[str, str], name: str) -> int:
    variable = f"{PREFIX}{name.upper()}_PORT"
    text = environ.get(variable)
    if text is None:
        return DEFAULT_PORTS[name]
    try:
        return _PORT.validate_python(text)
    except ValidationError:
        raise SettingsError(f"{variable}: expected a port from 1 to 65535") from None


def _refuse_duplicates(ports: Mapping[str, int]) -> None:
    seen: dict[int, str] = {}
    for name, port in ports.items():
        if port in seen:
            raise SettingsError(
                f"{PREFIX}{name.upper()}_PORT: {port} is the port of {seen[port]} already"
            )
        seen[port] = name
