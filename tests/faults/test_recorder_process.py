"""The recorder as a process: start, stop, refusals, memory."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc.aio
import orjson
import psutil
import pytest

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from tests.faults.recorder_process import RecorderProcess
from tests.integration.recorder.harness import entity, plan
from tests.support.pictures import AROUND_BYTES, picture_pieces
from tests.support.rpc import refused

MIB = 1024 * 1024
LARGE_BYTES = 200 * MIB
ALLOWED_GROWTH_BYTES = 32 * MIB


@pytest.fixture
def process(tmp_path: Path) -> Iterator[RecorderProcess]:
    running = RecorderProcess(tmp_path / "runs", tmp_path / "log")
    try:
        running.wait_until_serving()
        yield running
    finally:
        running.kill()


def peak_bytes(process: RecorderProcess) -> int:
    """The most memory the process ever had resident."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


async def test_a_large_file_passes_through_in_little_memory(process: RecorderProcess) -> None:
    chunk = bytes(256 * 1024)
    count = LARGE_BYTES // len(chunk)
    size = AROUND_BYTES + count * len(chunk)

    async def messages(upload: str) -> AsyncIterator[pb.WriteEntityRequest]:
        digest, offset = hashlib.sha256(), 0
        for piece in picture_pieces([chunk] * count, count * len(chunk)):
            message = pb.WriteEntityRequest(offset=offset, data=piece)
            if not offset:
                message.upload = upload
                message.entity.CopyFrom(entity())
            yield message
            digest.update(piece)
            offset += len(piece)
        said = common_pb2.Digest(sha256=digest.hexdigest(), size_bytes=size)
        yield pb.WriteEntityRequest(offset=size, finish=True, digest=said)

    async with grpc.aio.insecure_channel(process.target) as channel:
        stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        request = pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=plan())
        run = (await stub.CreateRun(request, timeout=5)).run.name
        await stub.RecordEntity(
            pb.RecordEntityRequest(upload=f"{run}/uploads/i", entity=entity("input"), data=b"x")
        )
        before = psutil.Process(process.process.pid).memory_info().rss
        written = await stub.WriteEntity(messages(f"{run}/uploads/o"), timeout=30)
        assert written.committed_size == size
        received = 0
        name = written.entity.name
        async for part in stub.ReadEntity(
            pb.ReadEntityRequest(name=name, audience=run_pb2.AUDIENCE_RESEARCH), timeout=30
        ):
            received += len(part.data)
        assert received == size
    assert peak_bytes(process) - before < ALLOWED_GROWTH_BYTES


async def test_a_second_recorder_on_the_same_root_says_so_and_ends(
    process: RecorderProcess, tmp_path: Path
) -> None:
    log = tmp_path / "second"
    second = RecorderProcess(tmp_path / "runs", log)
    assert await asyncio.to_thread(second.process.wait, 20) == 1
    lines = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    assert lines[-1]["reason"] == "STORE_LOCKED"
    assert process.process.poll() is None


async def test_a_root_without_a_parent_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lost = RecorderProcess(tmp_path / "not mounted" / "runs", log)
    assert await asyncio.to_thread(lost.process.wait, 20) == 1
    assert orjson.loads(log.read_bytes().splitlines()[-1])["reason"] == "STORE_MISSING"


async def test_a_stop_ends_watches_first_and_is_quick(process: RecorderProcess) -> None:
    async with grpc.aio.insecure_channel(process.target) as channel:
        stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        request = pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=plan())
        run = (await stub.CreateRun(request, timeout=5)).run.name
        call = stub.WatchRun(pb.WatchRunRequest(name=run, audience=run_pb2.AUDIENCE_RESEARCH))
        await call.read()
        async with refused("UNAVAILABLE", "DRAINING"):
            async with asyncio.timeout(5):
                ended = asyncio.to_thread(process.terminate)
                await asyncio.gather(ended, read_to_the_end(call))
        assert await asyncio.to_thread(process.process.wait, 5) == 0


async def test_a_run_ends_by_its_deadline_without_anybody_asking(tmp_path: Path) -> None:
    running = RecorderProcess(tmp_path / "runs", tmp_path / "log", run_limit_seconds="1")
    try:
        running.wait_until_serving()
        async with grpc.aio.insecure_channel(running.target) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)
            request = pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=plan())
            run = (await stub.CreateRun(request, timeout=5)).run.name
            events = [
                one.event
                async for one in stub.WatchRun(
                    pb.WatchRunRequest(name=run, audience=run_pb2.AUDIENCE_RESEARCH), timeout=10
                )
            ]
        assert events[-1].state_changed.state == run_pb2.RUN_STATE_FAILED
        assert events[-1].state_changed.error.reason == "RUN_DEADLINE"
        assert running.terminate() == 0
    finally:
        running.kill()


async def test_the_log_never_holds_what_people_typed(
    process: RecorderProcess, tmp_path: Path
) -> None:
    secret = "Mein Name ist Anna"
    async with grpc.aio.insecure_channel(process.target) as channel:
        stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        request = pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=plan())
        run = (await stub.CreateRun(request, timeout=5)).run.name
        await stub.RecordEntity(
            pb.RecordEntityRequest(
                upload=f"{run}/uploads/i", entity=entity("input"), data=secret.encode()
            )
        )
        async with refused("INVALID_ARGUMENT"):
            await stub.RecordEntity(
                pb.RecordEntityRequest(
                    upload=f"{run}/uploads/j", entity=entity(secret), data=secret.encode()
                )
            )
    log = (tmp_path / "log").read_text()
    assert "runs live here" in log
    assert secret not in log


async def read_to_the_end(
    call: grpc.aio.UnaryStreamCall[pb.WatchRunRequest, pb.WatchRunResponse],
) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass
