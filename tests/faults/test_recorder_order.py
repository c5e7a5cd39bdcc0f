"""Many writers to one run, over a recorder that is killed again and again: 1 … n, no gap."""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from functools import partial
from pathlib import Path

import grpc.aio
import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.recorder.verify import verify_run
from tests.faults.recorder_process import IMPATIENT, RecorderProcess
from tests.faults.test_recorder_kill import create
from tests.integration.recorder.harness import digest_of, entity
from tests.support.eventually import eventually

WRITERS = 32
FEW, MANY = 3, 20
RUN_ID = "528e5af9-59b3-4551-b101-27e13dd6e43e"


class Restarted:
    """A recorder that comes back on another port; `serving` is cleared meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.root, self._log = folder / "runs", folder / "log"
        self.serving = asyncio.Event()

    async def start(self) -> None:
        self.process = RecorderProcess(self.root, self._log)
        await asyncio.to_thread(self.process.wait_until_serving)
        self.serving.set()

    def kill(self) -> None:
        self.serving.clear()
        self.process.kill()

    async def record(self, upload: str, data: bytes) -> int:
        """Record until it is acknowledged; returns the sequence."""
        while True:
            await self.serving.wait()
            try:
                async with grpc.aio.insecure_channel(self.process.target, IMPATIENT) as channel:
                    stub = recorder_pb2_grpc.RecorderServiceStub(channel)
                    request = pb.RecordEntityRequest(
                        upload=upload, entity=entity("interception"), data=data
                    )
                    return (await stub.RecordEntity(request, timeout=10)).entity.sequence
            except grpc.aio.AioRpcError as error:
                # Nothing but its death may come between.
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise


def is_longer(said: Sized, least: int) -> bool:
    return len(said) >= least


async def written_in_order(folder: Path, restarts: int, commits: int) -> None:
    """Restart after every so many commits; then look at what was said and what is there."""
    recorder, done = Restarted(folder), asyncio.Event()
    said: dict[str, int] = {}

    async def write(writer: int) -> None:
        number = 0
        while not done.is_set():
            upload, number = f"w{writer}-{number}", number + 1
            said[upload] = await recorder.record(f"{run}/uploads/{upload}", upload.encode())

    await recorder.start()
    try:
        run = await create(recorder.process.target, RUN_ID)
        writers = [asyncio.create_task(write(writer)) for writer in range(WRITERS)]
        for restart in range(1, restarts + 1):
            await eventually(partial(is_longer, said, restart * commits), 30, "the commits")
            recorder.kill()
            await recorder.start()
        done.set()
        await asyncio.gather(*writers)
        async with grpc.aio.insecure_channel(recorder.process.target) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)
            present = (
                await stub.GetRun(
                    pb.GetRunRequest(name=run, audience=run_pb2.AUDIENCE_RESEARCH), timeout=10
                )
            ).run.entities
    finally:
        recorder.kill()
    assert len(present) >= restarts * commits
    assert [one.sequence for one in present] == list(range(1, len(present) + 1))
    assert sorted(said.values()) == [one.sequence for one in present]
    for upload, sequence in said.items():
        assert present[sequence - 1].digest == digest_of(upload.encode())
    assert verify_run(recorder.root / RUN_ID) == []


async def test_thirty_two_writers_and_a_few_kills_leave_no_gap(tmp_path: Path) -> None:
    await written_in_order(tmp_path, restarts=FEW, commits=40)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_thirty_two_writers_and_twenty_kills_leave_no_gap(tmp_path: Path) -> None:
    await written_in_order(tmp_path, restarts=MANY, commits=200)
