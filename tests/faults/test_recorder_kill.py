"""A recorder killed at any moment: what was acknowledged is there, what failed is not."""

from __future__ import annotations

import asyncio
import hashlib
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio
import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.recorder.verify import verify_run
from tests.faults.recorder_process import RecorderProcess
from tests.integration.recorder.harness import digest_of, entity, picture_of, plan, stream, until
from tests.support.pictures import AROUND_BYTES

FEW, MANY = 12, 500
CLIENTS = 4
# Sizes are 2 to the power of 0 … 23: 1 B to 8 MiB, as many small ones as large ones.
MAX_SIZE_BITS = 23
MAX_SMALL_BYTES = 1024 * 1024
CHUNK_BYTES = 256 * 1024
# What a client may take as "nothing happened"; everything else is unknown to it.
DEFINITE = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}


@dataclass
class Log:
    """What the clients were told, by upload."""

    sent: dict[str, bytes] = field(default_factory=dict)
    acknowledged: dict[str, run_pb2.Entity] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)


async def write_until_it_dies(target: str, run: str, log: Log, chance: random.Random) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        while True:
            upload = f"{run}/uploads/{uuid.UUID(int=chance.getrandbits(128))}"
            size = int(2 ** chance.uniform(0, MAX_SIZE_BITS))
            is_small = size <= MAX_SMALL_BYTES and chance.random() < 0.7
            # Half of the small ones end with a fault of the client, which must leave nothing.
            is_wrong = chance.random() < 0.2
            data = (
                (b"text " * size)[:size]
                if is_small
                else picture_of(chance.randbytes(min(size, 2**MAX_SIZE_BITS - AROUND_BYTES)))
            )
            log.sent[upload] = data
            try:
                if is_small:
                    thing = entity("interception" if not is_wrong else "safety")
                    answer = await stub.RecordEntity(
                        pb.RecordEntityRequest(upload=upload, entity=thing, data=data), timeout=5
                    )
                    committed = answer.entity
                else:
                    messages = stream(upload, data, chunk=CHUNK_BYTES)
                    if is_wrong:
                        messages[-1].digest.sha256 = "0" * 64
                    written = await stub.WriteEntity(iter(messages), timeout=5)
                    committed = written.entity
            except grpc.aio.AioRpcError as error:
                if error.code() in DEFINITE:
                    log.failed.add(upload)
                    continue
                return
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                return  # how grpc says that the connection went away under a stream
            log.acknowledged[upload] = committed


async def look(
    stub: recorder_pb2_grpc.RecorderServiceAsyncStub, upload: str
) -> run_pb2.Entity | None:
    """What became of an upload; None when it is not (yet) an entity."""
    try:
        answer = await stub.GetUpload(pb.GetUploadRequest(upload=upload), timeout=5)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return None
        raise
    return answer.entity if answer.HasField("entity") else None


async def everything_is_true(target: str, root: Path, run: str, log: Log) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        present = (
            await stub.GetRun(
                pb.GetRunRequest(name=run, audience=run_pb2.AUDIENCE_RESEARCH), timeout=5
            )
        ).run
        assert [one.sequence for one in present.entities] == list(
            range(1, len(present.entities) + 1)
        )
        assert present.progress.completed <= present.progress.expected
        looked = {upload: await look(stub, upload) for upload in log.sent}
        found = {upload: one for upload, one in looked.items() if one is not None}
        for upload, committed in log.acknowledged.items():
            assert found[upload] == committed, "acknowledged is durable"
        assert not log.failed & set(found), "failed is absent"
        for upload, one in found.items():
            assert one.digest == digest_of(log.sent[upload]), "whole or absent"
            read = [
                part.data
                async for part in stub.ReadEntity(
                    pb.ReadEntityRequest(name=one.name, audience=run_pb2.AUDIENCE_RESEARCH),
                    timeout=5,
                )
            ]
            assert hashlib.sha256(b"".join(read)).hexdigest() == one.digest.sha256
        assert len(found) == len(present.entities), "nothing twice, nothing from nowhere"
    assert verify_run(root / run.removeprefix("runs/")) == []


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "runs", tmp_path / "recorder.log"


async def create(target: str, run_id: str) -> str:
    async with grpc.aio.insecure_channel(target) as channel:
        stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        request = pb.CreateRunRequest(request_id=run_id, run=plan())
        return (await stub.CreateRun(request, timeout=5)).run.name


async def killed_at_random(root: Path, logfile: Path, rounds: int) -> None:
    """Let clients write, kill the recorder, and look what the next one knows; again and again."""
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    told: list[tuple[str, Log]] = []
    for _ in range(rounds + 1):
        process = RecorderProcess(root, logfile)
        try:
            process.wait_until_serving()
            if told:  # the round before, seen by a recorder that knows only the disk
                await everything_is_true(process.target, root, *told[-1])
                told[-1][1].sent.clear()
            run_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
            run, log = await create(process.target, run_id), Log()
            told.append((run, log))
            clients = [
                asyncio.create_task(write_until_it_dies(process.target, run, log, chance))
                for _ in range(CLIENTS)
            ]
            await asyncio.sleep(chance.uniform(0.02, 0.2))  # the random moment
            process.kill()
            await asyncio.gather(*clients)
        finally:
            process.kill()
    assert sum(len(log.acknowledged) for _, log in told) > rounds, "something was done"


async def test_killed_a_few_times_nothing_acknowledged_is_lost(roots: tuple[Path, Path]) -> None:
    await killed_at_random(*roots, FEW)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_killed_five_hundred_times_nothing_acknowledged_is_lost(
    roots: tuple[Path, Path],
) -> None:
    await killed_at_random(*roots, MANY)


async def test_an_upload_cut_by_a_kill_goes_on_where_it_was(roots: tuple[Path, Path]) -> None:
    root, logfile = roots
    data = picture_of(bytes(3 * 1024 * 1024))
    messages = stream("", data, chunk=256 * 1024)
    arrived = asyncio.Event()

    async def half() -> AsyncIterator[pb.WriteEntityRequest]:
        for message in messages[:8]:
            yield message
        arrived.set()
        await asyncio.Event().wait()

    process = RecorderProcess(root, logfile)
    try:
        process.wait_until_serving()
        async with grpc.aio.insecure_channel(process.target) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)
            request = pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=plan())
            run = (await stub.CreateRun(request, timeout=5)).run.name
            upload = f"{run}/uploads/o"
            messages[0].upload = upload
            call = stub.WriteEntity(half())
            await arrived.wait()
            part = root / ".uploads"
            await until(lambda: sum(one.stat().st_size for one in part.iterdir()) >= 7 * 256 * 1024)
            process.kill()
            with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
                await call
    finally:
        process.kill()
    again = RecorderProcess(root, logfile)
    try:
        again.wait_until_serving()
        async with grpc.aio.insecure_channel(again.target) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)
            known = await stub.GetUpload(pb.GetUploadRequest(upload=upload), timeout=5)
            assert known.committed_size >= 7 * 256 * 1024
            rest = stream(upload, data, chunk=256 * 1024, start=known.committed_size)
            written = await stub.WriteEntity(iter(rest), timeout=10)
        assert written.entity.digest == digest_of(data)
        assert verify_run(root / run.removeprefix("runs/")) == []
    finally:
        again.kill()
