"""The recorder killed at every system call of a deletion, in the real process.

A run is whole, or it is gone with every byte; what was acknowledged as deleted stays deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import uuid
from collections.abc import Set
from pathlib import Path

import grpc.aio
import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.recorder.verify import verify_run
from tests.faults.recorder_process import RecorderProcess
from tests.faults.test_recorder_traced import AFTER, BEFORE, injected, strace
from tests.integration.recorder.harness import entity, picture, plan, stream
from tests.support.eventually import eventually

__all__ = ["strace"]

CALLS = [
    "openat",
    "ftruncate",
    "fsync,fdatasync",
    "rename,renameat,renameat2",
    "unlink,unlinkat",
    "rmdir",
]
MOST = 40
# Of each call one of so many is disturbed.
FEW_STRIDE, EVERY = 11, 1
MARKER = b"a-sentence-nobody-else-types"


class Deletions:
    """Runs, each deleted under another disturbance."""

    def __init__(self, folder: Path) -> None:
        self._root, self._log = folder / "runs", folder / "log"
        self._process = self._start()
        self.disturbed = 0
        self._needles = [MARKER]

    def _start(self) -> RecorderProcess:
        process = RecorderProcess(self._root, self._log)
        process.wait_until_serving()
        return process

    def close(self) -> None:
        self._process.kill()

    async def disturb(self, call: str, how: str, number: int) -> bool:
        """Return whether the process was killed in the middle of it."""
        run = f"runs/{uuid.uuid4()}"
        self._needles.append(run.removeprefix("runs/").encode())
        await self._make(run)
        is_deleted = False
        with injected(self._process, call, how, number):
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
                await self._delete(run)
                is_deleted = True
        has_died = self._has_died()
        if has_died:
            self._process.kill()
            self._process = self._start()
        # Before anybody asks: a start alone finishes what was begun.
        folder = self._root / run.removeprefix("runs/")
        has_tombstone = (self._root / ".tombstones" / folder.name).exists()
        assert has_tombstone or not is_deleted
        assert has_tombstone is not folder.exists()
        if not has_tombstone:
            assert verify_run(folder) == []
            assert await self._state(run) == grpc.StatusCode.OK
            await self._delete(run)
        assert await self._state(run) == grpc.StatusCode.NOT_FOUND
        assert await self._state(run, create=True) == grpc.StatusCode.FAILED_PRECONDITION
        assert self.traces(but={".index", ".tracker"}) == []
        assert not list((self._root / ".trash").iterdir())
        self.disturbed += has_died
        return has_died

    def _has_died(self) -> bool:
        try:
            self._process.process.wait(0.1)
        except subprocess.TimeoutExpired:
            return False
        return True

    def traces(self, but: Set[str] = frozenset()) -> list[Path]:
        """Files with what was typed, or the id of a run, in them."""
        found: list[Path] = []
        for file in self._root.rglob("*"):
            if file.is_file() and file.parent.name not in but:
                data = file.read_bytes()
                found.extend(file for needle in self._needles if needle in data)
        return found

    async def _make(self, run: str) -> None:
        async with grpc.aio.insecure_channel(self._process.target) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)
            request = pb.CreateRunRequest(request_id=run.removeprefix("runs/"), run=plan())
            await stub.CreateRun(request, timeout=10)
            text = pb.RecordEntityRequest(
                upload=f"{run}/uploads/a", entity=entity("input"), data=MARKER
            )
            await stub.RecordEntity(text, timeout=10)
            unfinished = stream(f"{run}/uploads/b", picture(2000) + MARKER, finish=False)
            await stub.WriteEntity(iter(unfinished), timeout=10)
            mark = pb.SetFavouriteRequest(name=run, favourite=True)
            await stub.SetFavourite(mark, timeout=10)

    async def _delete(self, run: str) -> None:
        async with grpc.aio.insecure_channel(self._process.target) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)
            await stub.DeleteRun(pb.DeleteRunRequest(name=run), timeout=10)

    async def _state(self, run: str, *, create: bool = False) -> grpc.StatusCode:
        async with grpc.aio.insecure_channel(self._process.target) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)
            try:
                if create:
                    request = pb.CreateRunRequest(request_id=run.removeprefix("runs/"), run=plan())
                    await stub.CreateRun(request, timeout=10)
                else:
                    audience = run_pb2.AUDIENCE_RESEARCH
                    await stub.GetRun(pb.GetRunRequest(name=run, audience=audience), timeout=10)
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK


async def swept(folder: Path, stride: int) -> int:
    """How often the process was killed until each call passed untouched."""
    deletions = Deletions(folder)
    try:
        for call in CALLS:
            for how in (BEFORE, AFTER):
                for number in range(1, MOST, stride):
                    if not await deletions.disturb(call, how, number):
                        break
        # Index and tracker are purged less often than runs are deleted here.
        await eventually(lambda: not deletions.traces(), 60, "no byte of them is left")
    finally:
        deletions.close()
    return deletions.disturbed


@pytest.mark.timeout(180)
async def test_killed_at_some_calls_of_a_deletion_it_is_whole_or_gone(tmp_path: Path) -> None:
    assert await swept(tmp_path, FEW_STRIDE) >= 4


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_killed_at_every_call_of_a_deletion_it_is_whole_or_gone(tmp_path: Path) -> None:
    assert await swept(tmp_path, EVERY) >= 20
