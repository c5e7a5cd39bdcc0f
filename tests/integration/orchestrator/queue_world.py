"""A recorder that restarts, a NATS server that gets lost, and the queues of several drivers."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import grpc.aio
import nats

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.cli.ports import free_ports
from services.cli.replicas import NatsMissing
from services.kit.channel import open_channel
from services.kit.clock import SystemClock
from services.kit.ids import RunId
from services.kit.server import GrpcServer
from services.orchestrator.claims import Claim
from services.orchestrator.clients.recorder import RecorderClient
from services.orchestrator.queue.embedded import EmbeddedQueue
from services.orchestrator.queue.nats import NatsQueue
from services.orchestrator.queue.port import ClaimedRun, RunQueue
from services.orchestrator.queue.stream import RunStream
from services.orchestrator.queue.view import QueueView
from services.recorder.servicer import CAPS, register
from tests.integration.recorder.harness import World, plan
from tests.support.eventually import eventually
from tests.support.nats_server import nats_command

Kind = Literal["embedded", "nats"]
TTL = 1.0
STREAM = "artlab_test"


class Watched(RecorderClient):
    """Counts renewals; `cut` keeps them from the recorder, as a frozen process does."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__(channel)
        self.renewals = 0
        self.open = asyncio.Event()
        self.open.set()

    async def renew(self, claim: Claim, held: Mapping[RunId, int]) -> Mapping[RunId, str]:
        await self.open.wait()
        lost = await super().renew(claim, held)
        self.renewals += 1
        return lost


@dataclass
class Replica:
    """One process with its queue; `got` are the runs it drives, in order."""

    name: str
    recorder: Watched
    queue: RunQueue
    got: list[ClaimedRun] = field(default_factory=list)
    _seats: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    _taking: asyncio.Task[None] | None = None

    def take(self, seats: int = 1) -> None:
        """Drive so many more runs at once."""
        for _ in range(seats):
            self._seats.release()
        if self._taking is None:
            self._taking = asyncio.create_task(self._take())

    async def _take(self) -> None:
        await self._seats.acquire()
        async for run in self.queue.claims():
            self.got.append(run)
            await self._seats.acquire()

    def ids(self) -> list[RunId]:
        """What it got."""
        return [run.run_id for run in self.got]

    async def first(self, count: int = 1) -> ClaimedRun:
        """Wait until it got so many; return the last of them."""
        await eventually(lambda: len(self.got) >= count, what=f"{count} runs at {self.name}")
        return self.got[count - 1]

    async def die(self) -> None:
        """Stop at once, as a killed process does: nothing is given back."""
        if self._taking is not None:
            self._taking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._taking

    async def close(self) -> None:
        """Stop as a drained process does."""
        await self.queue.aclose()
        self.take()
        if self._taking is not None:
            await asyncio.wait_for(self._taking, 5.0)


@dataclass
class QueueWorld:
    """Everything behind the queues of one kind."""

    kind: Kind
    root: Path
    world: World = field(init=False)
    port: int = 0
    nats_port: int = 0
    replicas: list[Replica] = field(default_factory=list)
    _server: GrpcServer | None = None
    _nats: asyncio.subprocess.Process | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        ports = free_ports(["recorder", "nats"])
        self.port, self.nats_port = ports["recorder"], ports["nats"]
        self.world = World("disk", self.root / "runs", clock=SystemClock())  # type: ignore[arg-type]
        await self.start_recorder()
        if self.kind == "nats":
            await self.start_nats()

    async def start_recorder(self) -> None:
        await self.world.start()
        self._server = GrpcServer("recorder", caps=CAPS)
        register(self.world.recorder, self._server.grpc)
        await self._server.start(f"127.0.0.1:{self.port}")

    async def stop_recorder(self) -> None:
        if self._server is not None:
            await self._server.stop(0.2)
            await self.world.stop()
            self._server = None

    async def start_nats(self) -> None:
        command = nats_command("127.0.0.1", self.nats_port, self.root / "nats")
        self._nats = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        await eventually(self._nats_answers, what="the NATS server")

    async def kill_nats(self) -> None:
        if self._nats is not None:
            self._nats.kill()
            await self._nats.wait()
            self._nats = None

    def freeze_nats(self) -> None:
        """SIGSTOP: connections stay, nobody answers."""
        assert self._nats is not None
        self._nats.send_signal(signal.SIGSTOP)

    def thaw_nats(self) -> None:
        """SIGCONT."""
        assert self._nats is not None
        self._nats.send_signal(signal.SIGCONT)

    async def lose_stream(self) -> None:
        """Delete the stream with all that is in it, as a lost disk does."""
        client = await nats.connect(self.nats_url)
        await client.jetstream().delete_stream(STREAM)
        await client.close()

    async def in_stream(self) -> int:
        """How many messages there are."""
        client = await nats.connect(self.nats_url)
        try:
            return int((await client.jetstream().stream_info(STREAM)).state.messages)
        finally:
            await client.close()

    @property
    def nats_url(self) -> str:
        return f"nats://127.0.0.1:{self.nats_port}"

    async def replica(self, name: str) -> Replica:
        """One more process."""
        channel = await self._stack.enter_async_context(open_channel(f"127.0.0.1:{self.port}"))
        recorder, clock = Watched(channel), SystemClock()
        claim, view = Claim(name, TTL), QueueView(recorder, clock)
        queue: RunQueue
        if self.kind == "nats":
            stream = RunStream(self.nats_url, STREAM, TTL)
            queue = NatsQueue(stream, recorder, claim, clock, view, sweep_seconds=0.3)
        else:
            queue = EmbeddedQueue(recorder, claim, clock, view, poll_seconds=0.3)
        replica = Replica(name, recorder, queue)
        self.replicas.append(replica)
        return replica

    async def create(self, user_id: str = "anna", *, owner: str = "") -> tuple[RunId, int]:
        """Create a run, claimed by an owner if there is one; return its id and epoch."""
        run_id = RunId(str(uuid.uuid4()))
        request = pb.CreateRunRequest(request_id=str(run_id), run=plan(user_id=user_id))
        if owner:
            request.claim.owner = owner
            request.claim.ttl.FromMilliseconds(int(TTL * 1000))
        answer = await self.world.call("CreateRun", request)
        return run_id, answer.epoch

    async def end(self, run_id: RunId) -> None:
        """Make a run final."""
        await self.world.finalize(run_id.name, run_pb2.RUN_STATE_CANCELLED)

    async def close(self) -> None:
        for replica in self.replicas:
            await replica.die()
            await replica.queue.aclose()
        await self._stack.aclose()
        await self.stop_recorder()
        await self.kill_nats()

    async def _nats_answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.settimeout(0.2)
            return sock.connect_ex(("127.0.0.1", self.nats_port)) == 0
        return False


@asynccontextmanager
async def queue_world(kind: Kind, root: Path) -> AsyncIterator[QueueWorld]:
    """A started world. Raises NatsMissing."""
    world = QueueWorld(kind, root)
    try:
        await world.start()
        yield world
    finally:
        await world.close()


__all__ = ["TTL", "Kind", "NatsMissing", "QueueWorld", "Replica", "queue_world"]
