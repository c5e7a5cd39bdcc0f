"""Who talks to whom on one machine: the command, port and environment of each service."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
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
    ("recorder", "nats"),
)
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # a look-up
_PORT: TypeAdapter[int] = TypeAdapter(Port)


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """How to start one process and where it will listen.

    Attributes:
        name: what people call it, e.g. ``orchestrator-2``.
        service: what it is, where that is not its name.
        variable: what moves it elsewhere, where that is not the port of its service.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    host: str
    port: int
    service: str = ""
    variable: str = ""

    @property
    def kind(self) -> str:
        """Which service it is one of."""
        return self.service or self.name

    @property
    def target(self) -> str:
        """host:port to reach it at from this machine."""
        host = _EVERYWHERE.get(self.host, self.host)
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def port_variable(self) -> str:
        """The variable that moves it elsewhere."""
        return self.variable or f"{PREFIX}{self.kind.upper()}_PORT"


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
    hosts = {name: environ.get(f"{PREFIX}{name.upper()}_HOST", "127.0.0.1") for name in SERVICES}
    specs = {
        name: ServiceSpec(name, _command(name), {}, hosts[name], chosen[name]) for name in SERVICES
    }
    refuse_duplicates(specs.values())
    return {
        name: ServiceSpec(
            name, spec.command, _environment(environ, name, specs), spec.host, spec.port
        )
        for name, spec in specs.items()
    }


def refuse_duplicates(specs: Iterable[ServiceSpec]) -> None:
    """Raise SettingsError when two processes are to listen on one port, naming what to change."""
    seen: dict[int, str] = {}
    for spec in specs:
        if spec.port in seen:
            raise SettingsError(
                f"{spec.port_variable}: {spec.port} is the port of {seen[spec.port]} already"
            )
        seen[spec.port] = spec.name


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
