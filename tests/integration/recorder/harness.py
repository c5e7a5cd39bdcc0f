"""A recorder as a test meets it: over memory, over a disk, and through gRPC over a disk."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.kit.clock import ManualClock
from services.kit.interceptors import Context
from services.kit.status import remote_errors
from services.recorder.archive.importing import MAX_IMPORT_BYTES
from services.recorder.care import CareLimits
from services.recorder.index.memory import MemoryIndex
from services.recorder.index.port import Index
from services.recorder.index.sqlite import SqliteIndex
from services.recorder.ports import Follower, Store
from services.recorder.recorder import Recorder
from services.recorder.servicer import CAPS, RecorderServicer, register
from services.recorder.store.disk import DiskStore
from services.recorder.store.layout import index_file
from services.recorder.store.memory import MemoryStore
from services.recorder.upload import UploadLimits
from tests.support import pictures
from tests.support.servers import channel_to

PNG = pictures.PNG
picture = pictures.picture
picture_of = pictures.picture_of
LIMITS = UploadLimits(max_entity_bytes=4 * 1024 * 1024, uploads_per_run=4, ttl_seconds=3600)
RUN_LIMIT_SECONDS = 600.0

Requests = Iterable[pb.WriteEntityRequest] | AsyncIterable[pb.WriteEntityRequest]


def plan(**changes: Any) -> run_pb2.Run:
    """A valid plan: one picture."""
    values: dict[str, Any] = {
        "config_name": "dada",
        "safety_level": common_pb2.SAFETY_LEVEL_YOUTH,
        "user_id": "pseudonym-1",
        "outputs": [
            run_pb2.Output(
                index=1,
                occurrence=1,
                output_config="builtin_image",
                kind=common_pb2.MEDIA_KIND_IMAGE,
            )
        ],
        "expected_entities": ["input", "output_image"],
        "execution_mode": common_pb2.EXECUTION_MODE_ECO,
        "seed": 7,
    }
    return run_pb2.Run(**(values | changes))


def entity(entity_type: str = "output_image", **values: Any) -> run_pb2.Entity:
    """What a client says of an entity."""
    return run_pb2.Entity(type=entity_type, **values)


def digest_of(data: bytes) -> common_pb2.Digest:
    """The digest of bytes."""
    return common_pb2.Digest(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def stream(
    upload: str,
    data: bytes,
    *,
    chunk: int = 1024,
    start: int = 0,
    finish: bool = True,
    of: run_pb2.Entity | None = None,
) -> list[pb.WriteEntityRequest]:
    """The messages that send `data` from `start` on."""
    offsets = range(start, len(data), chunk)
    messages = [pb.WriteEntityRequest(offset=at, data=data[at : at + chunk]) for at in offsets]
    messages = messages or [pb.WriteEntityRequest(offset=start)]
    messages[0].upload = upload
    if start == 0:
        messages[0].entity.CopyFrom(of or entity())
    if finish:
        messages[-1].finish = True
        messages[-1].digest.CopyFrom(digest_of(data))
    return messages


@dataclass
class World:
    """One recorder and the calls a test makes; errors arrive as ArtlabError either way."""

    kind: str
    root: Path
    clock: ManualClock = field(default_factory=ManualClock)
    limits: UploadLimits = LIMITS
    tombstones: Path | None = None
    recorder: Recorder = field(init=False)
    stub: Any = field(init=False)
    reserve_bytes: int = 0
    max_import_bytes: int = MAX_IMPORT_BYTES
    memory: MemoryStore = field(default_factory=MemoryStore)
    followers: Sequence[Follower] = ()
    care: CareLimits | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        """Open the store and serve it."""
        store: Store = (
            self.memory
            if self.kind == "memory"
            else DiskStore(self.root, self.tombstones, reserve_bytes=self.reserve_bytes)
        )
        index: Index = (
            MemoryIndex() if self.kind == "memory" else SqliteIndex(index_file(self.root))
        )
        self.recorder = Recorder(
            store,
            index,
            self.clock,
            self.limits,
            RUN_LIMIT_SECONDS,
            self.followers,
            max_import_bytes=self.max_import_bytes,
            care=self.care,
        )
        await self.recorder.open()
        self._stack.push_async_callback(self.recorder.close)
        if self.kind == "grpc":
            channel = await self._stack.enter_async_context(
                channel_to("recorder", lambda server: register(self.recorder, server), caps=CAPS)
            )
            self.stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        else:
            self.stub = RecorderServicer(self.recorder)

    async def stop(self) -> None:
        """Stop serving and let go of the store."""
        await self._stack.aclose()

    async def restart(self) -> None:
        """Come back over what the store kept."""
        await self.stop()
        await self.start()

    async def call(self, method: str, request: Any) -> Any:
        """One unary call."""
        if self.kind == "grpc":
            with remote_errors("recorder"):
                return await getattr(self.stub, method)(request, timeout=10)
        return await getattr(self.stub, method)(request, cast(Context, None))

    async def create(self, run_id: str | None = None, **changes: Any) -> str:
        """Create a run and return its name."""
        run_id = run_id or str(uuid.uuid4())
        request = pb.CreateRunRequest(request_id=run_id, run=plan(**changes))
        return cast(str, (await self.call("CreateRun", request)).run.name)

    async def get(self, name: str) -> run_pb2.Run:
        """Return a run."""
        return cast(
            run_pb2.Run,
            (
                await self.call(
                    "GetRun", pb.GetRunRequest(name=name, audience=run_pb2.AUDIENCE_RESEARCH)
                )
            ).run,
        )

    async def record(
        self, upload: str, data: bytes, of: run_pb2.Entity | None = None
    ) -> run_pb2.Entity:
        """Record a small entity."""
        request = pb.RecordEntityRequest(upload=upload, entity=of or entity("input"), data=data)
        answer = await self.call("RecordEntity", request)
        return cast(run_pb2.Entity, answer.entity)

    async def write(self, requests: Requests) -> pb.WriteEntityResponse:
        """Send one stream."""
        iterator = _each(requests)
        if self.kind == "grpc":
            with remote_errors("recorder"):
                return cast(
                    pb.WriteEntityResponse, await self.stub.WriteEntity(iterator, timeout=10)
                )
        return cast(
            pb.WriteEntityResponse,
            await self.stub.WriteEntity(iterator, cast(Context, None)),
        )

    async def uploaded(self, upload: str) -> int:
        """The committed size of an upload."""
        answer = await self.call("GetUpload", pb.GetUploadRequest(upload=upload))
        return cast(int, answer.committed_size)

    async def finalize(self, name: str, state: run_pb2.RunState.ValueType) -> run_pb2.Run:
        """Make a run final, with an error where one is needed."""
        error = None
        if state in (run_pb2.RUN_STATE_FAILED, run_pb2.RUN_STATE_BLOCKED):
            error = run_pb2.RunError(reason="SOME_REASON", message="why")
        request = pb.FinalizeRunRequest(name=name, state=state, error=error)
        return cast(run_pb2.Run, (await self.call("FinalizeRun", request)).run)

    async def read(self, name: str, offset: int = 0, limit: int = 0) -> bytes:
        """Read an entity."""
        request = pb.ReadEntityRequest(
            name=name, offset=offset, limit=limit, audience=run_pb2.AUDIENCE_RESEARCH
        )
        if self.kind == "grpc":
            with remote_errors("recorder"):
                parts = [part.data async for part in self.stub.ReadEntity(request, timeout=10)]
        else:
            parts = [part.data async for part in self.stub.ReadEntity(request, cast(Context, None))]
        return b"".join(parts)

    def deadline_in(self, seconds: float) -> Timestamp:
        """A moment from now, on this world's clock."""
        stamp = Timestamp()
        stamp.FromDatetime(self.clock.now() + timedelta(seconds=seconds))
        return stamp

    def unfinished_bytes(self) -> int:
        """What unfinished uploads take of the disk or the memory."""
        if self.kind == "memory":
            return sum(self.memory.upload_sizes().values())
        taken = 0
        for one in (self.root / ".uploads").iterdir():
            with suppress(FileNotFoundError):  # renamed meanwhile
                taken += one.stat().st_size
        return taken

    def folder(self, name: str) -> Path:
        """The folder of a run."""
        return self.root / name.removeprefix("runs/")


@asynccontextmanager
async def world_of(kind: str, root: Path, **values: Any) -> AsyncIterator[World]:
    """A started world."""
    world = World(kind, root, **values)
    await world.start()
    try:
        yield world
    finally:
        await world.stop()


async def _each(requests: Requests) -> AsyncIterator[pb.WriteEntityRequest]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 5.0) -> None:
    """Wait for a condition; fail when it does not come."""
    async with asyncio.timeout(seconds):
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await asyncio.sleep(0.005)


def metadata_of(world: World, name: str) -> Mapping[str, Any]:
    """metadata.json of a run on disk."""
    return cast(
        Mapping[str, Any], orjson.loads((world.folder(name) / "metadata.json").read_bytes())
    )
