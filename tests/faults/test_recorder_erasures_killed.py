"""The recorder killed at system calls of an erasure, in the real process.

The entity is as it was, or it is erased and its bytes are gone; what was acknowledged stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import uuid
from pathlib import Path

import grpc.aio
import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.recorder.verify import verify_run
from tests.faults.disturbed import CALL_SECONDS, RESEARCH, stub_at
from tests.faults.recorder_process import RecorderProcess
from tests.faults.test_recorder_traced import AFTER, BEFORE, injected, strace
from tests.integration.recorder.harness import entity, plan

__all__ = ["strace"]

# As many uses of each as one erasure has at most; the record takes a temporary file of its own.
CALLS = {
    "openat": 12,
    "write,pwrite64": 4,
    "fsync,fdatasync": 4,
    "rename,renameat,renameat2": 2,
    "ftruncate": 2,
    "unlink,unlinkat": 3,
}
# The record is written, its name is durable, the bytes are cut, the file goes.
SOME = [
    ("fsync,fdatasync", BEFORE, 1),
    ("rename,renameat,renameat2", AFTER, 1),
    ("fsync,fdatasync", AFTER, 2),
    ("ftruncate", BEFORE, 1),
    ("ftruncate", AFTER, 1),
    ("unlink,unlinkat", AFTER, 1),
]
MARKER = b"a-sentence-nobody-else-types"


class Erasures:
    """Runs with one entity each, erased under another disturbance."""

    def __init__(self, folder: Path) -> None:
        self._root, self._log = folder / "runs", folder / "log"
        self._process = self._start()
        self.disturbed = 0
        self.erased = 0

    def _start(self) -> RecorderProcess:
        process = RecorderProcess(self._root, self._log)
        process.wait_until_serving()
        return process

    def close(self) -> None:
        self._process.kill()

    async def disturb(self, call: str, how: str, number: int) -> None:
        """Erase, be killed in the middle of it or not, and see that it is whole or gone."""
        name, file = await self._make()
        is_acknowledged = False
        with injected(self._process, call, how, number):
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
                await self._erase(name)
                is_acknowledged = True
        if self._has_died():
            self.disturbed += 1
            self._process.kill()
            self._process = self._start()
        # Before anybody asks: a start alone finishes what was begun.
        assert verify_run(file.parent) == []
        run = await self._get(name)
        is_erased = run.entities[0].HasField("erase_time")
        assert is_erased or not is_acknowledged
        assert file.exists() is not is_erased
        assert is_erased or file.read_bytes() == MARKER
        self.erased += is_erased
        await self._erase(name)
        assert not file.exists()
        assert [path for path in file.parent.iterdir() if MARKER in path.read_bytes()] == []

    def _has_died(self) -> bool:
        try:
            self._process.process.wait(0.1)
        except subprocess.TimeoutExpired:
            return False
        return True

    async def _make(self) -> tuple[str, Path]:
        name = f"runs/{uuid.uuid4()}"
        async with stub_at(self._process.target) as stub:
            request = pb.CreateRunRequest(request_id=name.removeprefix("runs/"), run=plan())
            await stub.CreateRun(request, timeout=CALL_SECONDS)
            text = entity("interception")
            record = pb.RecordEntityRequest(upload=f"{name}/uploads/a", entity=text, data=MARKER)
            recorded = (await stub.RecordEntity(record, timeout=CALL_SECONDS)).entity
        return name, self._root / name.removeprefix("runs/") / recorded.filename

    async def _erase(self, name: str) -> None:
        request = pb.EraseEntityRequest(name=f"{name}/entities/1", reason="SAFETY_BLOCKED")
        async with stub_at(self._process.target) as stub:
            await stub.EraseEntity(request, timeout=CALL_SECONDS)

    async def _get(self, name: str) -> run_pb2.Run:
        request = pb.GetRunRequest(name=name, audience=RESEARCH)
        async with stub_at(self._process.target) as stub:
            return (await stub.GetRun(request, timeout=CALL_SECONDS)).run


@pytest.mark.timeout(180)
async def test_killed_at_some_calls_of_an_erasure_it_is_whole_or_gone(tmp_path: Path) -> None:
    erasures = Erasures(tmp_path)
    try:
        for call, how, number in SOME:
            await erasures.disturb(call, how, number)
    finally:
        erasures.close()
    assert erasures.disturbed == len(SOME)
    assert 3 <= erasures.erased < len(SOME)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_killed_at_every_call_of_an_erasure_it_is_whole_or_gone(tmp_path: Path) -> None:
    erasures = Erasures(tmp_path)
    try:
        for call, most in CALLS.items():
            for how in (BEFORE, AFTER):
                for number in range(1, most + 1):
                    await erasures.disturb(call, how, number)
    finally:
        erasures.close()
    assert erasures.disturbed >= 20
