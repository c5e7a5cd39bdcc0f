"""A disk that answers an error at any call of a run's life, under the real process.

strace lets the n-th use of a call on the run's files fail, n = 1, 2, … until a whole life passes
untouched, and writes down what the recorder asked of the disk. Calls on other files, such as those
gRPC has for itself, are left alone.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import uuid
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import grpc.aio
import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.kit.status import from_rpc_error
from services.recorder.verify import verify_run
from tests.faults.recorder_process import RecorderProcess
from tests.faults.test_recorder_traced import wait_until_traced
from tests.integration.recorder.harness import digest_of, entity, picture, plan, stream
from tests.support.eventually import eventually

# The kernel's names of one thing; Python uses one of them.
SYNCS = "fsync,fdatasync"
CALLS = [
    "openat",
    "write,pwrite64",
    SYNCS,
    "rename,renameat,renameat2",
    "unlink,unlinkat",
    "mkdir,mkdirat",
]
ERRORS = ["EIO", "ENOSPC"]
MOST = 60
WRITERS = 32
CALL_SECONDS = 10.0
# Every answer of a broken disk comes within this.
ANSWER_SECONDS = 1.0
ALL = run_pb2.AUDIENCE_RESEARCH
SMALL, LARGE, PIECE = b"Eine Blume", picture(3069), 1024
# What is recorded in one call, after what the run is created with.
BOTH = ("02_translation", "03_interception")
# What a disk that fails may be answered with. A file that cannot be opened counts as damaged.
REASONS = {"STORAGE_FULL", "STORAGE_ERROR", "METADATA_CORRUPT"}


T = TypeVar("T")


@pytest.fixture(autouse=True)
def strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace (on Debian: apt install strace)")


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Watched]:
    """A serving recorder."""
    watched = Watched(tmp_path)
    try:
        yield watched
    finally:
        watched.process.kill()


class Watched:
    """A recorder whose calls on the files of one run can be watched and made to fail."""

    def __init__(self, folder: Path) -> None:
        self.root, self._log, self._trace = folder / "runs", folder / "log", folder / "trace"
        self.start()

    def start(self) -> None:
        self.process = RecorderProcess(self.root, self._log)
        self.process.wait_until_serving()

    def restart(self) -> None:
        self.process.kill()
        self.start()

    @contextmanager
    def failing(self, run: str, call: str, error: str, when: str) -> Iterator[list[Call]]:
        """Let uses of a call on the run's files fail; yields what was done, filled at the end."""
        run_id = run.removeprefix("runs/")
        folder, uploads = self.root / run_id, self.root / ".uploads"
        staged = staged_of(folder)
        files = [folder / "metadata.json.tmp", folder / "metadata.json"]
        files += [staged, staged / "metadata.json", staged / "01_input.txt"]
        files += [folder / f"{name}.txt{end}" for name in BOTH for end in ("", ".tmp")]
        for upload in ("large",):
            stem = f"{run_id}.{upload}"
            ends = ("data", "json", "json.tmp", "intent", "intent.tmp")
            files += [uploads / f"{stem}.{end}" for end in ends]
        paths = [
            part for path in (self.root, uploads, folder, *files) for part in ("-P", str(path))
        ]
        pid = self.process.process.pid
        command = ["strace", "-f", "-y", "-qqq", "-e", "signal=none", "-p", str(pid)]
        traced = f"trace={','.join(CALLS)},close"
        fate = f"inject={call}:error={error}:when={when}"
        tracer = subprocess.Popen(
            [*command, "-o", str(self._trace), *paths, "-e", traced, "-e", fate],
            stderr=subprocess.DEVNULL,  # it tells of paths that do not exist yet
        )
        calls: list[Call] = []
        try:
            wait_until_traced(pid)
            yield calls
        finally:
            tracer.terminate()
            tracer.wait(10)
        calls.extend(parsed(self._trace.read_text()))


@dataclass(frozen=True)
class Call:
    """One system call: of which thread, on which descriptor or path, with what result."""

    name: str
    arguments: str
    failed: bool
    is_injected: bool

    @property
    def descriptor(self) -> str:
        """The first argument as number and path."""
        return self.arguments.partition(",")[0].rstrip(")")


def parsed(trace: str) -> list[Call]:
    """The calls of a trace, in the order in which they ended."""
    pending: dict[str, str] = {}
    calls = []
    for line in trace.splitlines():
        pid, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            pending[pid] = text.removesuffix("<unfinished ...>").rstrip()
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", text):
            text = pending.pop(pid, "") + resumed[1]
        if found := re.match(r"(\w+)\((.*)\)\s+= (-?\d+)(.*)", text):
            name, arguments, result, rest = found.groups()
            calls.append(Call(name, arguments, result.startswith("-"), "(INJECTED)" in rest))
    return calls


def synced_again(calls: list[Call]) -> list[str]:
    """Descriptors that were synced once more after a sync of them had failed."""
    dead: set[str] = set()
    found = []
    for call in calls:
        if call.name in ("fsync", "fdatasync"):
            if call.descriptor in dead:
                found.append(call.descriptor)
            if call.failed:
                dead.add(call.descriptor)
        elif call.name == "close":
            dead.discard(call.descriptor)
    return found


def durable_changes(calls: list[Call], folder: Path) -> int:
    """How often metadata.json was made or replaced so that a power cut could not take it back.

    Asserts that it is never replaced by a file that was not synced, and that a new run is not seen
    before all of it is.
    """
    written, staged = f"<{folder}/metadata.json.tmp>", staged_of(folder)
    is_synced = is_replaced = is_shown = False
    filled: set[str] = set()
    changes = 0
    for call in calls:
        is_sync = call.name in ("fsync", "fdatasync") and not call.failed
        if is_sync and f"<{staged}" in call.descriptor:
            filled.add(call.descriptor.partition("<")[2])
        elif call.name.startswith("rename") and f'"{staged.name}"' in call.arguments:
            # The other way round it is taken back.
            names = (
                call.arguments.index(f'"{staged.name}"'),
                call.arguments.index(f'"{folder.name}"'),
            )
            is_shown = names[0] < names[1] and not call.failed
            if is_shown:
                files = ("", "/metadata.json", "/01_input.txt")
                assert filled >= {f"{staged}{file}>" for file in files}, "all of it is synced"
        elif is_sync and is_shown and call.descriptor.endswith(f"<{folder.parent}>"):
            changes += 1
            is_shown = False
        elif call.name == "openat" and call.arguments.startswith(f"{folder_of(call)}<{folder}>"):
            is_synced = is_synced and "metadata.json.tmp" not in call.arguments
        elif is_sync and call.descriptor.endswith(written):
            is_synced = True
        elif call.name.startswith("rename") and '"metadata.json"' in call.arguments:
            if f"<{folder}>" in call.arguments and not call.failed:
                assert is_synced, "what was not synced is never put in place"
                is_replaced, is_synced = True, False
        elif is_sync and call.descriptor.endswith(f"<{folder}>") and is_replaced:
            changes += 1
            is_replaced = False
    return changes


def staged_of(folder: Path) -> Path:
    """Where a run's folder is until it is seen."""
    return folder.with_name(f".{folder.name}.new")


def folder_of(call: Call) -> str:
    return call.arguments.partition("<")[0]


@dataclass
class Life:
    """A run that is created with an entity, gets two at once and a large one, and ends."""

    run: str = field(default_factory=lambda: f"runs/{uuid.uuid4()}")
    entities: dict[str, run_pb2.Entity] = field(default_factory=dict)
    # Changes of metadata.json that were acknowledged.
    changes: int = 0
    is_created: bool = False
    final: run_pb2.Run | None = None
    committed: int = 0

    @property
    def folder(self) -> str:
        return self.run.removeprefix("runs/")

    async def live(self, target: str) -> str:
        """Do what is not done yet; the reason it was refused with, if it was."""
        async with grpc.aio.insecure_channel(target) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)
            try:
                await self._live(stub)
            except grpc.aio.AioRpcError as error:
                return from_rpc_error(error, "recorder").reason
            return ""

    async def _live(self, stub: recorder_pb2_grpc.RecorderServiceAsyncStub) -> None:
        create = pb.CreateRunRequest(request_id=self.folder, run=plan(), entities=[_new("input")])
        created = await self._changed(stub.CreateRun(create, timeout=CALL_SECONDS))
        self.is_created = True
        self.entities["input"] = created.run.entities[0]
        both = [_new("translation"), _new("interception")]
        record = pb.RecordEntitiesRequest(name=self.run, entities=both)
        answer = await self._changed(stub.RecordEntities(record, timeout=CALL_SECONDS))
        self.entities.update({one.type: one for one in answer.entities})
        large = f"{self.run}/uploads/large"
        start = await self._committed(stub, large)
        if start == 0:
            half = stream(large, LARGE, chunk=PIECE, of=entity(output_index=1))[:2]
            start = (await stub.WriteEntity(iter(half), timeout=CALL_SECONDS)).committed_size
            self.committed = start
        if start is not None:
            rest = stream(large, LARGE, chunk=PIECE, start=start)
            written = await self._changed(stub.WriteEntity(iter(rest), timeout=CALL_SECONDS))
            self.entities[large] = written.entity
        succeeded = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_SUCCEEDED)
        output = pb.FinalizeOutputRequest(name=self.run, output=succeeded)
        await self._changed(stub.FinalizeOutput(output, timeout=CALL_SECONDS))
        end = pb.FinalizeRunRequest(name=self.run, state=run_pb2.RUN_STATE_SUCCEEDED)
        ended = await self._changed(stub.FinalizeRun(end, timeout=CALL_SECONDS))
        self.final = ended.run

    async def _committed(
        self, stub: recorder_pb2_grpc.RecorderServiceAsyncStub, upload: str
    ) -> int | None:
        try:
            request = pb.GetUploadRequest(upload=upload)
            known = await stub.GetUpload(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return 0
            raise
        return None if known.HasField("entity") else known.committed_size

    async def _changed(self, call: Awaitable[T]) -> T:
        answer = await call
        self.changes += 1
        return answer

    async def is_true(self, target: str, root: Path) -> None:
        """Everything that was acknowledged is there."""
        if not self.is_created:
            return
        async with grpc.aio.insecure_channel(target) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)
            present = (
                await stub.GetRun(
                    pb.GetRunRequest(name=self.run, audience=ALL), timeout=CALL_SECONDS
                )
            ).run
        if self.final is not None:
            assert present == self.final
        for upload, acknowledged in self.entities.items():
            assert acknowledged in present.entities, f"{upload} was acknowledged"
        digests = [*[digest_of(SMALL)] * 3, digest_of(LARGE)]
        assert len(present.entities) in (1, 3, 4), "what is recorded together is there together"
        assert [one.digest for one in present.entities] == digests[: len(present.entities)]
        assert verify_run(root / self.folder) == []


def _new(entity_type: str) -> pb.NewEntity:
    return pb.NewEntity(upload_id=entity_type, entity=entity(entity_type), data=SMALL)


async def takes_new(recorder: Watched) -> bool:
    async with grpc.aio.insecure_channel(recorder.process.target) as channel:
        stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        request = pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=plan())
        try:
            await stub.CreateRun(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            if from_rpc_error(error, "recorder").reason != "STORAGE_FULL":
                raise
            return False
        return True


async def lived(recorder: Watched, stride: int) -> int:
    """Let one call after another fail in a life of its own; how many failed."""
    lives: list[Life] = []
    injected = 0
    for call in CALLS:
        for error in ERRORS:
            for number in range(1, MOST, 1 if call == SYNCS else stride):
                life = Life()
                with recorder.failing(life.run, call, error, str(number)) as done:
                    reason = await life.live(recorder.process.target)
                where = f"{error} at {call} {number}"
                if not any(one.is_injected for one in done):
                    assert reason == "", where
                    break
                injected += 1
                lives.append(life)
                assert reason in {"", *REASONS}, where
                assert synced_again(done) == [], where
                changes = durable_changes(done, recorder.root / life.folder)
                assert changes >= life.changes, where
                await life.is_true(recorder.process.target, recorder.root)
                # An end that met a full disk has shut the door for what is new, up to a second.
                await eventually(lambda: takes_new(recorder), what="writing")
                if number % 2:  # the others are left as they are until the start after
                    assert await life.live(recorder.process.target) == "", where
    recorder.restart()
    for life in lives:
        await life.is_true(recorder.process.target, recorder.root)
        assert await life.live(recorder.process.target) == ""
        await life.is_true(recorder.process.target, recorder.root)
    return injected


async def test_whatever_call_fails_nothing_is_acknowledged_that_is_not_durable(
    recorder: Watched,
) -> None:
    assert await lived(recorder, stride=6) > 30


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_whichever_of_all_calls_fails_nothing_is_acknowledged_that_is_not_durable(
    recorder: Watched,
) -> None:
    assert await lived(recorder, stride=1) > 60


async def test_on_a_broken_disk_32_writers_are_answered_within_a_second(
    recorder: Watched,
) -> None:
    async with grpc.aio.insecure_channel(recorder.process.target) as channel:
        stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        life = Life()
        create = pb.CreateRunRequest(request_id=life.folder, run=plan())
        await stub.CreateRun(create, timeout=CALL_SECONDS)

        async def record(number: int) -> str:
            request = pb.RecordEntityRequest(
                upload=f"{life.run}/uploads/{number}", entity=entity("interception"), data=SMALL
            )
            try:
                await stub.RecordEntity(request, timeout=ANSWER_SECONDS)
            except grpc.aio.AioRpcError as error:
                found = from_rpc_error(error, "recorder")
                return f"{error.code().name} {found.reason}: {found.message}"
            return ""

        with recorder.failing(life.run, SYNCS, "EIO", "1+") as done:
            answers = await asyncio.gather(*(record(number) for number in range(WRITERS)))
        assert all(answer.startswith("INTERNAL STORAGE_ERROR") for answer in answers), answers
        assert "INTERNAL STORAGE_ERROR: the disk answered EIO" in answers
        assert any(one.is_injected for one in done)
        assert synced_again(done) == []
        assert await record(1) == "", "the disk works again, and so does the recorder"
