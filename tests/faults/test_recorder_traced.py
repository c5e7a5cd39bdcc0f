"""The recorder killed at every single system call of its commits, in the real process.

strace stops the process at the n-th use of a call, n = 1, 2, … until everything passes untouched:
before the call (SIGKILL: it does not happen), after it (a signal that is delivered on the way out
of the call). Then a new recorder has to know everything that was acknowledged. Calls that answer an
error: test_recorder_disk_errors.py.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
import uuid
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc.aio
import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from tests.faults.recorder_process import IMPATIENT, RecorderProcess
from tests.faults.test_recorder_kill import Log, everything_is_true
from tests.integration.recorder.harness import entity, picture, plan, stream

# The kernel's names of one thing; Python uses one of them.
CALLS = [
    "openat",
    "write,pwrite64",
    "fsync,fdatasync",
    "rename,renameat,renameat2",
    "unlink,unlinkat",
    "mkdir,mkdirat",
    "close",
]
BEFORE, AFTER = "signal=KILL", "signal=USR2"
# gRPC writes to its own pipes all the time; past this nothing of a commit is left.
MOST = 40
# Of each call one of so many is disturbed.
FEW_STRIDE, EVERY = 11, 1
ATTACH_SECONDS = 10.0
DEFINITE = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
SMALL, LARGE = b"Eine Blume", picture(3069)
PIECE = 1024


@pytest.fixture(autouse=True)
def strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace (on Debian: apt install strace)")


@contextmanager
def injected(process: RecorderProcess, call: str, how: str, number: int) -> Iterator[None]:
    """Attach strace; the n-th use of a call by a thread meets its fate."""
    pid = process.process.pid
    fate = f"inject={call}:{how}:when={number}"
    command = ["strace", "-f", "-qq", "-p", str(pid), "-o", "/dev/null"]
    tracer = subprocess.Popen([*command, "-e", f"trace={call}", "-e", fate])
    try:
        wait_until_traced(pid)
        yield
    finally:
        # Asked kindly it stops every thread once more, and may wait for one for ever.
        tracer.kill()
        tracer.wait(10)


def wait_until_traced(pid: int) -> None:
    """Return once every thread of the process has a tracer."""
    deadline = time.monotonic() + ATTACH_SECONDS
    while time.monotonic() < deadline:
        states = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
        if not any("TracerPid:\t0\n" in state for state in states):
            return
        time.sleep(0.005)
    raise AssertionError("strace does not attach")


class Attempt:
    """A run is created and gets a small entity, and a large one in two streams."""

    def __init__(self) -> None:
        self.run = f"runs/{uuid.uuid4()}"
        self.small, self.large = f"{self.run}/uploads/small", f"{self.run}/uploads/large"
        self.log = Log({self.small: SMALL, self.large: LARGE})
        self.is_created = False
        self.committed = 0

    async def make(self, target: str) -> None:
        """Do what is not done yet. Raises AioRpcError, or CancelledError when it goes away."""
        async with grpc.aio.insecure_channel(target, IMPATIENT) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)
            request = pb.CreateRunRequest(request_id=self.run.removeprefix("runs/"), run=plan())
            await stub.CreateRun(request, timeout=10)
            self.is_created = True
            await self.told(self.small, self.record(stub))
            if (start := await self.resume(stub)) is None:
                return
            assert start >= self.committed, "what was committed of an upload stays"
            if start == 0:
                pieces = stream(self.large, LARGE, chunk=PIECE)[:2]
                written = await stub.WriteEntity(iter(pieces), timeout=10)
                start = self.committed = written.committed_size
            await self.told(self.large, self.finish(stub, start))

    async def told(self, upload: str, call: Awaitable[run_pb2.Entity]) -> None:
        self.log.failed.discard(upload)
        try:
            self.log.acknowledged[upload] = await call
        except grpc.aio.AioRpcError as error:
            if error.code() in DEFINITE:
                self.log.failed.add(upload)
            raise

    async def record(self, stub: recorder_pb2_grpc.RecorderServiceAsyncStub) -> run_pb2.Entity:
        request = pb.RecordEntityRequest(
            upload=self.small, entity=entity("interception"), data=SMALL
        )
        return (await stub.RecordEntity(request, timeout=10)).entity

    async def resume(self, stub: recorder_pb2_grpc.RecorderServiceAsyncStub) -> int | None:
        try:
            known = await stub.GetUpload(pb.GetUploadRequest(upload=self.large), timeout=10)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return 0
            raise
        return None if known.HasField("entity") else known.committed_size

    async def finish(
        self, stub: recorder_pb2_grpc.RecorderServiceAsyncStub, start: int
    ) -> run_pb2.Entity:
        rest = stream(self.large, LARGE, chunk=PIECE, start=start)
        return (await stub.WriteEntity(iter(rest), timeout=10)).entity


class Sweep:
    """Attempts, one after another, each disturbed at another place."""

    def __init__(self, folder: Path) -> None:
        self._root, self._log = folder / "runs", folder / "log"
        self._process = self._start()
        self.disturbed = 0

    def _start(self) -> RecorderProcess:
        process = RecorderProcess(self._root, self._log)
        process.wait_until_serving()
        return process

    def _has_died(self) -> bool:
        try:
            self._process.process.wait(0.1)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        self._process.kill()

    async def disturb(self, call: str, how: str, number: int) -> bool:
        """Return whether the process was killed."""
        attempt, is_disturbed = Attempt(), False
        with injected(self._process, call, how, number):
            try:
                await attempt.make(self._process.target)
            except (grpc.aio.AioRpcError, asyncio.CancelledError):
                is_disturbed = True
        # It may also have died of what it did after its last answer.
        is_disturbed = is_disturbed or self._has_died()
        if is_disturbed:
            self._process.kill()
            self._process = self._start()
        if attempt.is_created:
            await everything_is_true(self._process.target, self._root, attempt.run, attempt.log)
        await attempt.make(self._process.target)
        await everything_is_true(self._process.target, self._root, attempt.run, attempt.log)
        self.disturbed += is_disturbed
        return is_disturbed


async def swept(folder: Path, hows: list[str], calls: list[str], stride: int) -> int:
    """How often something was disturbed until each call passed untouched."""
    sweep = Sweep(folder)
    try:
        for call in calls:
            for how in hows:
                for number in range(1, MOST, stride):
                    if not await sweep.disturb(call, how, number):
                        break
    finally:
        sweep.close()
    return sweep.disturbed


async def test_killed_at_some_calls_of_a_commit_it_keeps_what_it_acknowledged(
    tmp_path: Path,
) -> None:
    assert await swept(tmp_path, [BEFORE, AFTER], CALLS, FEW_STRIDE) > 14


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_killed_at_every_call_of_a_commit_it_keeps_what_it_acknowledged(
    tmp_path: Path,
) -> None:
    assert await swept(tmp_path, [BEFORE, AFTER], CALLS, EVERY) > 80
