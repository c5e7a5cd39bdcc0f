"""Imports cut short by SIGKILL: every run is there whole or not at all, and the rest can follow."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import grpc.aio
import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc
from services.kit.ids import RunId
from services.recorder.verify import verify_run
from tests.faults.recorder_process import RecorderProcess
from tests.integration.recorder.archives import export, finished_run, png, run_folders
from tests.integration.recorder.harness import world_of

RUNS = 12
FEW, MANY = 3, 100


async def send(target: str, archive: bytes) -> pb.ImportRunsResponse:
    async def requests() -> AsyncIterator[pb.ImportRunsRequest]:
        for at in range(0, len(archive), 256 * 1024):
            yield pb.ImportRunsRequest(data=archive[at : at + 256 * 1024])

    async with grpc.aio.insecure_channel(target) as channel:
        stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        answer: pb.ImportRunsResponse = await stub.ImportRuns(requests(), timeout=30)
        return answer


def runs_in(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if not path.name.startswith(".")]


def check_whole(root: Path) -> int:
    """Every run that can be seen is whole; returns how many there are."""
    for folder in runs_in(root):
        RunId.parse(folder.name)
        assert verify_run(folder) == [], folder
    return len(runs_in(root))


async def killed_while_importing(tmp_path: Path, rounds: int) -> set[int]:
    async with world_of("grpc", tmp_path / "source") as source:
        names = [await finished_run(source, picture=png(side=400)) for _ in range(RUNS)]
        archive = await export(source, *names)
    wanted = run_folders(tmp_path / "source")
    draw, seen, took = random.Random(7), set(), 1.0
    for number in range(rounds):
        root = tmp_path / f"runs-{number}"
        recorder = RecorderProcess(root, tmp_path / "log")
        try:
            recorder.wait_until_serving()
            sending = asyncio.create_task(send(recorder.target, archive))
            began = time.monotonic()
            # The first round tells how long all of it takes.
            await asyncio.wait({sending}, timeout=took * draw.random() if number else None)
            took = took if number else time.monotonic() - began
            recorder.kill()
            with suppress(grpc.aio.AioRpcError):
                await sending
        finally:
            recorder.kill()
        seen.add(check_whole(root))
        recorder = RecorderProcess(root, tmp_path / "log")
        try:
            recorder.wait_until_serving()
            assert list((root / ".imports").iterdir()) == []
            answer = await send(recorder.target, archive)
            assert sorted([*answer.imported, *answer.skipped]) == sorted(names)
        finally:
            recorder.terminate()
        assert run_folders(root) == wanted
        shutil.rmtree(root)
    return seen


async def test_a_killed_import_leaves_whole_runs_or_none(tmp_path: Path) -> None:
    assert RUNS in await killed_while_importing(tmp_path, FEW)


@pytest.mark.long
async def test_a_hundred_killed_imports_leave_whole_runs_or_none(tmp_path: Path) -> None:
    seen = await killed_while_importing(tmp_path, MANY)
    assert {0, RUNS} <= seen
    assert len(seen) > 2, "not one was cut between two runs"
