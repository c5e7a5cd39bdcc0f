"""All of Artlab with several orchestrators, two ComfyUIs and a queue, and ways to hurt each part.

Where it can be, every part is in a network namespace of its own, so that links can be cut; else all
are on loopback, and nothing is cut.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import httpx

from services.cli.fleet import Fleet
from services.cli.log_files import tail
from services.cli.ports import free_ports
from services.cli.replicas import NATS, QUEUE_VARIABLE, URL_VARIABLE
from services.cli.wiring import SERVICES, ServiceSpec, wire
from tests.faults.comfyui_process import ComfyProcess
from tests.support.nats_server import nats_command
from tests.support.network import Network, has_networks, network
from tests.support.processes import START_SECONDS

COMFYS = ("comfyui-1", "comfyui-2")
# Longer than any service says it needs; two cores do all of this at once.
DRAIN_SECONDS = 30.0
Queue = Literal["embedded", "nats"]


@dataclass
class World:
    """Everything that runs, by name: services, `orchestrator-1` …, `comfyui-1` …, `nats`."""

    fleet: Fleet
    comfys: Mapping[str, ComfyProcess]
    root: Path
    replicas: Sequence[str]
    network: Network | None
    # When each orchestrator was killed, by wall clock: name, moment.
    kills: list[tuple[str, float]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The gateway's address."""
        return f"http://{self.fleet.specs['gateway'].target}"

    def client(self) -> httpx.AsyncClient:
        """A client of the gateway; close it with ``async with``."""
        return httpx.AsyncClient(base_url=self.url, timeout=20.0, trust_env=False)

    def record(self, run_id: str) -> dict[str, Any]:
        """metadata.json as it stands, read as a person would, whoever is up or down."""
        path = self.root / run_id / "metadata.json"
        document: dict[str, Any] = json.loads(path.read_bytes())
        return document

    def log(self, name: str) -> str:
        """What a service has written so far."""
        return self.fleet.log(name).read_text(errors="replace")

    async def kill(self, name: str) -> None:
        """SIGKILL."""
        if name in self.comfys:
            await self.comfys[name].kill()
            return
        if name in self.replicas:
            self.kills.append((name, time.time()))
        self.fleet.children[name].kill()
        await self.fleet.children[name].wait()

    async def start(self, name: str, *, wait: bool = False) -> None:
        """Start what was killed; with `wait` it answers when this returns."""
        if name in self.comfys:
            await self.comfys[name].start()
            return
        await self.fleet.start(name)
        if wait:
            await self.fleet.wait_ready(name, START_SECONDS)

    async def terminate(self, name: str) -> int:
        """SIGTERM, as somebody who restarts it in peace does; return the exit code.

        Raises TimeoutError when it does not end: it is to hand over what it has, not to finish it.
        """
        child = self.fleet.children[name]
        child.send(signal.SIGTERM)
        async with asyncio.timeout(DRAIN_SECONDS):
            return await child.wait()

    async def freeze(self, name: str) -> None:
        """SIGSTOP: connections stay, nobody answers."""
        if name in self.comfys:
            await self.comfys[name].freeze()
        else:
            self.fleet.children[name].send(signal.SIGSTOP)

    async def thaw(self, name: str) -> None:
        """SIGCONT."""
        if name in self.comfys:
            await self.comfys[name].thaw()
        else:
            self.fleet.children[name].send(signal.SIGCONT)


@asynccontextmanager
async def orchestrator_world(
    folder: Path,
    *,
    replicas: int = 2,
    queue: Queue = "embedded",
    comfy_arguments: Sequence[str] = ("--step-seconds", "0.05"),
    settings: Mapping[str, str] | None = None,
    cut: bool = True,
) -> AsyncIterator[World]:
    """Start everything below a folder, wait until it answers, and stop it at the end.

    Args:
        folder: of runs, states and logs.
        replicas: how many orchestrators.
        queue: how they find their runs.
        comfy_arguments: of each fake ComfyUI.
        settings: under their full names.
        cut: whether to make a network whose links can be cut, where that can be done.
    """
    names = [f"orchestrator-{number}" for number in range(1, replicas + 1)]
    others = [name for name in SERVICES if name != "orchestrator"]
    async with AsyncExitStack() as stack:
        places = [*others, *names, *COMFYS, NATS]
        net = None
        if cut and has_networks():
            net = await stack.enter_async_context(network(places))
        where = _Where(net, free_ports(places))
        comfys = {
            name: ComfyProcess(
                folder / name,
                where.ports[name],
                *comfy_arguments,
                host=where.address(name),
                within=where.within(name),
            )
            for name in COMFYS
        }
        environ = _environ(folder, where, names, comfys, queue, settings or {})
        specs = _specs(environ, where, names)
        if queue == NATS:
            specs = {NATS: _nats(folder, where), **specs}
        fleet = await stack.enter_async_context(
            Fleet(
                specs,
                folder / "logs",
                stop_tiers=(
                    ("gateway",),
                    names,
                    ("media", "interception", "safety"),
                    ("recorder", NATS),
                ),
            )
        )
        world = World(fleet, comfys, folder / "runs", names, net)
        for one in comfys.values():
            stack.push_async_callback(one.stop)
        try:
            await asyncio.gather(*(one.start() for one in comfys.values()))
            await fleet.start_all(START_SECONDS)
            yield world
        except BaseException:
            for name in specs:
                print(f"--- {name}", *tail(fleet.log(name), 25), sep="\n", file=sys.stderr)
            raise


@dataclass(frozen=True)
class _Where:
    """Addresses and ports of every part."""

    network: Network | None
    ports: Mapping[str, int]

    def address(self, name: str) -> str:
        return "127.0.0.1" if self.network is None else self.network.address(name)

    def within(self, name: str) -> list[str]:
        return [] if self.network is None else self.network.within(name)

    def target(self, name: str) -> str:
        return f"{self.address(name)}:{self.ports[name]}"


def _environ(
    folder: Path,
    where: _Where,
    replicas: Sequence[str],
    comfys: Mapping[str, ComfyProcess],
    queue: Queue,
    settings: Mapping[str, str],
) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("ARTLAB_")}
    targets = {
        f"ARTLAB_{caller}_{peer.upper()}_TARGET": where.target(peer)
        for caller in ("GATEWAY", "ORCHESTRATOR", "MEDIA")
        for peer in ("recorder", "safety", "interception", "media")
        if not (caller == "MEDIA" and peer != "recorder")
    }
    found = {
        **inherited,
        **targets,
        "ARTLAB_GATEWAY_ORCHESTRATOR_TARGET": ",".join(where.target(name) for name in replicas),
        "ARTLAB_GATEWAY_ALLOWED_HOSTS": where.address("gateway"),
        "ARTLAB_GATEWAY_RUN_STARTS_PER_MINUTE": "100000",
        "ARTLAB_RECORDER_ROOT": str(folder / "runs"),
        "ARTLAB_RECORDER_TRACKER": "none",
        "ARTLAB_MEDIA_STATE": str(folder / "media"),
        "ARTLAB_MEDIA_COMFYUI_URLS": ",".join(one.url for one in comfys.values()),
        "ARTLAB_MEDIA_ALLOW_REMOTE_COMFYUI": "true",
    }
    if queue == NATS:
        found[QUEUE_VARIABLE] = NATS
        found[URL_VARIABLE] = f"nats://{where.target(NATS)}"
    return {**found, **settings}


def _specs(
    environ: Mapping[str, str], where: _Where, replicas: Sequence[str]
) -> dict[str, ServiceSpec]:
    ports = {name: where.ports.get(name, where.ports[replicas[0]]) for name in SERVICES}
    wired = wire(environ, ports)
    specs = {name: spec for name, spec in wired.items() if name != "orchestrator"}
    # The gateway is worth starting last.
    gateway = specs.pop("gateway")
    for name in replicas:
        specs[name] = replace(
            wired["orchestrator"], name=name, port=where.ports[name], service="orchestrator"
        )
    specs["gateway"] = gateway
    return {name: _placed(name, spec, where) for name, spec in specs.items()}


def _placed(name: str, spec: ServiceSpec, where: _Where) -> ServiceSpec:
    service = name.partition("-")[0].upper()
    listening = {
        f"ARTLAB_{service}_HOST": where.address(name),
        f"ARTLAB_{service}_PORT": str(where.ports[name]),
    }
    return replace(
        spec,
        command=(*where.within(name), *spec.command),
        environment={**spec.environment, **listening},
        host=where.address(name),
    )


def _nats(folder: Path, where: _Where) -> ServiceSpec:
    command = nats_command(where.address(NATS), where.ports[NATS], folder / NATS)
    return ServiceSpec(
        NATS, (*where.within(NATS), *command), {}, where.address(NATS), where.ports[NATS]
    )
