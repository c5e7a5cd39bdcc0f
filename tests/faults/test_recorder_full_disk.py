"""The recorder as a process on a disk that is full: of bytes, or of files (inodes)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.kit.status import from_rpc_error
from services.recorder.domain.room import SPARE_FILES
from services.recorder.verify import verify_run
from tests.faults.recorder_process import RecorderProcess
from tests.integration.recorder.harness import digest_of, entity, picture, plan, stream
from tests.support.eventually import eventually
from tests.support.rpc import refused
from tests.support.small_disk import (
    fill_bytes,
    fill_files,
    free_bytes,
    small_disk,
    small_ext4,
)

MIB = 1024 * 1024
DISK_BYTES = 32 * MIB
RESERVE_BYTES = MIB
WRITERS = 32
# Every answer of a full disk comes within this.
ANSWER_SECONDS = 1.0
ALL = run_pb2.AUDIENCE_RESEARCH
SUCCEEDED, FAILED = run_pb2.RUN_STATE_SUCCEEDED, run_pb2.RUN_STATE_FAILED


@dataclass
class Full:
    """A recorder on a small disk, and what fills the disk."""

    disk: Path
    fill: Callable[[Path], None]
    process: RecorderProcess = field(init=False)

    @property
    def root(self) -> Path:
        return self.disk / "runs"

    @property
    def filler(self) -> Path:
        return self.disk / "filler"

    def start(self) -> None:
        self.process = RecorderProcess(
            self.root, self.disk.parent / "log", reserve_bytes=str(RESERVE_BYTES)
        )
        self.process.wait_until_serving()

    def fill_up(self) -> None:
        self.fill(self.filler)

    def make_room(self) -> None:
        if self.filler.is_file():
            self.filler.unlink()
        else:
            for one in self.filler.iterdir():
                one.unlink()

    def spares(self) -> int:
        return len(list((self.root / ".reserve").iterdir()))

    def defects(self) -> list[str]:
        runs = [one for one in self.root.iterdir() if not one.name.startswith(".")]
        return [f"{run.name}: {defect}" for run in runs for defect in verify_run(run)]

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with grpc.aio.insecure_channel(self.process.target) as channel:
            yield Client(recorder_pb2_grpc.RecorderServiceStub(channel))


@dataclass
class Client:
    """Calls that must be answered soon."""

    stub: recorder_pb2_grpc.RecorderServiceAsyncStub

    async def create(self, run_seconds: float = 600.0) -> str:
        deadline = Timestamp()
        deadline.FromDatetime(datetime.now(UTC) + timedelta(seconds=run_seconds))
        request = pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=plan(deadline=deadline))
        return (await self.stub.CreateRun(request, timeout=ANSWER_SECONDS)).run.name

    async def record(self, upload: str, data: bytes, of: str = "input") -> run_pb2.Entity:
        request = pb.RecordEntityRequest(
            upload=upload, entity=entity(of, output_index=int(of == "output_image")), data=data
        )
        return (await self.stub.RecordEntity(request, timeout=ANSWER_SECONDS)).entity

    async def write(self, requests: list[pb.WriteEntityRequest]) -> pb.WriteEntityResponse:
        return await self.stub.WriteEntity(iter(requests), timeout=ANSWER_SECONDS)

    async def progress(self, run: str, step: str = "draw") -> None:
        request = pb.SetProgressRequest(name=run, stage=4, step=step, output_index=1)
        await self.stub.SetProgress(request, timeout=ANSWER_SECONDS)

    async def get(self, run: str) -> run_pb2.Run:
        request = pb.GetRunRequest(name=run, audience=ALL)
        return (await self.stub.GetRun(request, timeout=ANSWER_SECONDS)).run

    async def read(self, name: str) -> bytes:
        request = pb.ReadEntityRequest(name=name, audience=ALL)
        parts = self.stub.ReadEntity(request, timeout=ANSWER_SECONDS)
        return b"".join([part.data async for part in parts])

    async def end_output(self, run: str) -> None:
        request = pb.FinalizeOutputRequest(
            name=run, output=run_pb2.Output(index=1, state=SUCCEEDED)
        )
        await self.stub.FinalizeOutput(request, timeout=ANSWER_SECONDS)

    async def end(self, run: str, state: run_pb2.RunState.ValueType = FAILED) -> run_pb2.Run:
        error = run_pb2.RunError(reason="STORAGE_FULL", message="why") if state == FAILED else None
        request = pb.FinalizeRunRequest(name=run, state=state, error=error)
        return (await self.stub.FinalizeRun(request, timeout=ANSWER_SECONDS)).run

    async def delete(self, run: str) -> None:
        await self.stub.DeleteRun(pb.DeleteRunRequest(name=run), timeout=ANSWER_SECONDS)

    async def is_full(self) -> bool:
        request = pb.GetStoreStatusRequest()
        status = await self.stub.GetStoreStatus(request, timeout=ANSWER_SECONDS)
        assert 0 <= status.free_bytes <= status.total_bytes <= DISK_BYTES
        return status.is_full

    async def refuses_what_is_new(self, run: str) -> None:
        """Every kind of ordinary write is answered, at once, and says when to come back."""
        for call in (
            self.create(),
            self.record(f"{run}/uploads/new", b"x" * 5000),
            self.write(stream(f"{run}/uploads/newer", picture(300_000), chunk=100_000)),
            self.progress(run, "another"),
        ):
            async with refused("RESOURCE_EXHAUSTED", "STORAGE_FULL") as seen:
                await call
            assert seen.retry_after_seconds == 30

    async def can_write(self) -> bool:
        try:
            run = await self.create()
        except grpc.aio.AioRpcError as error:
            if reason_of(error) != "STORAGE_FULL":
                raise
            return False
        await self.record(f"{run}/uploads/a", b"room")
        return True


@pytest.fixture(
    params=[
        (small_disk, fill_bytes),
        (small_disk, fill_files),
        # Frees what is given up only after a while, and needs room for the names in a folder.
        pytest.param((small_ext4, fill_bytes), marks=pytest.mark.long),
        pytest.param((small_ext4, fill_files), marks=pytest.mark.long),
    ],
    ids=lambda param: f"{param[0].__name__}-{param[1].__name__}",
)
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Full]:
    """A serving recorder on a disk that `fill_up` fills."""
    mount, fill = request.param
    with mount(tmp_path / "disk", DISK_BYTES, 600) as disk:
        full = Full(disk, fill)
        full.start()
        try:
            yield full
        finally:
            full.process.kill()


async def test_on_a_full_disk_a_run_can_still_be_taken_over_and_ended(full: Full) -> None:
    async with full.client() as client:
        runs = [await client.create() for _ in range(3)]
        full.fill_up()
        await client.refuses_what_is_new(runs[0])
        for run in runs:
            for epoch, owner in enumerate(("first", "second"), start=1):
                claim = pb.Claim(owner=owner, ttl=Duration(seconds=60))
                request = pb.ClaimRunRequest(name=run, claim=claim, force=True)
                answer = await client.stub.ClaimRun(request, timeout=ANSWER_SECONDS)
                assert (answer.claimed, answer.epoch) == (True, epoch)
            end = pb.FinalizeRunRequest(name=run, state=run_pb2.RUN_STATE_CANCELLED, epoch=2)
            await client.stub.FinalizeRun(end, timeout=ANSWER_SECONDS)
    assert list((full.root / ".claims").iterdir()) == []
    assert full.defects() == []


async def test_on_a_full_disk_runs_end_and_afterwards_it_works_again_by_itself(full: Full) -> None:
    async with full.client() as client:
        done, failing, deleted, going_on = [await client.create() for _ in range(4)]
        kept = {}
        for run in (done, failing, deleted, going_on):
            kept[run] = await client.record(f"{run}/uploads/i", run.encode())
        image = picture(200_000)
        await client.write(stream(f"{done}/uploads/o", image, of=entity(output_index=1)))
        upload = f"{going_on}/uploads/o"
        half = stream(upload, image, chunk=50_000)[:2]
        assert (await client.write(half)).committed_size == 100_000
        late = await client.create(run_seconds=1.0)
        assert not await client.is_full()
        full.fill_up()

        await client.refuses_what_is_new(going_on)
        assert await client.is_full()
        assert full.spares() == SPARE_FILES, "ordinary writes take nothing of the reserve"
        await client.end_output(done)
        assert (await client.end(done, SUCCEEDED)).state == SUCCEEDED
        assert (await client.end(failing)).state == FAILED
        await eventually(lambda: is_ended(client, late), what="the deadline")
        assert full.spares() < SPARE_FILES
        await client.refuses_what_is_new(going_on)
        async with refused("RESOURCE_EXHAUSTED", "STORAGE_FULL"):
            await client.write(stream(upload, image, chunk=50_000, start=100_000))
        for run, one in kept.items():
            assert await client.read(one.name) == run.encode()
        assert await client.read(f"{done}/entities/2") == image
        await client.delete(deleted)
        async with refused("NOT_FOUND"):
            await client.get(deleted)
        assert not (full.root / deleted.removeprefix("runs/")).exists()

        full.make_room()
        await eventually(client.can_write, what="writing")
        assert full.spares() == SPARE_FILES
        assert not await client.is_full()
        rest = stream(upload, image, start=await committed(client, upload))
        assert (await client.write(rest)).entity.digest == digest_of(image)
        ended = [(await client.get(run)).state for run in (done, failing, late)]
        assert ended == [SUCCEEDED, FAILED, FAILED]
    assert full.defects() == []


async def test_it_starts_on_a_full_disk_and_ends_what_was_open(full: Full) -> None:
    async with full.client() as client:
        runs = [await client.create() for _ in range(3)]
        kept = [await client.record(f"{run}/uploads/i", run.encode()) for run in runs]
    full.fill_up()
    for run, one in zip(runs, kept, strict=True):
        full.process.kill()
        full.start()
        async with full.client() as client:
            await client.refuses_what_is_new(run)
            assert await client.read(one.name) == run.encode()
            assert (await client.end(run)).state == FAILED
    full.make_room()
    async with full.client() as client:
        await eventually(client.can_write, what="writing")
        assert [(await client.get(run)).error.reason for run in runs] == ["STORAGE_FULL"] * 3
    assert full.spares() == SPARE_FILES
    assert full.defects() == []


async def test_it_starts_where_no_reserve_can_be_made(full: Full) -> None:
    async with full.client() as client:
        run = await client.create()
        one = await client.record(f"{run}/uploads/i", b"here")
    full.process.kill()
    for spare in (full.root / ".reserve").iterdir():
        spare.unlink()
    full.fill_up()
    full.start()
    async with full.client() as client:
        await client.refuses_what_is_new(run)
        assert await client.read(one.name) == b"here"
        async with refused("RESOURCE_EXHAUSTED", "STORAGE_FULL"):
            await client.end(run)  # there is nothing to give up
        full.make_room()
        await eventually(client.can_write, what="writing")
        assert full.spares() == SPARE_FILES
        assert (await client.end(run)).state == FAILED
    assert full.defects() == []


async def test_on_a_full_disk_32_writers_are_answered_within_a_second(full: Full) -> None:
    async with full.client() as client:
        runs = [await client.create() for _ in range(WRITERS)]
        full.fill_up()
        answers = await asyncio.gather(
            *(client.record(f"{run}/uploads/a", b"x" * 5000) for run in runs),
            return_exceptions=True,
        )
        assert {reason_of(one) for one in answers} == {"STORAGE_FULL"}
        ended = await asyncio.gather(*(client.end(run) for run in runs))
        assert {run.state for run in ended} == {FAILED}
    assert full.defects() == []


async def test_32_writers_that_fill_the_disk_lose_nothing_and_all_of_their_runs_end(
    full: Full,
) -> None:
    # Those who still write must not eat what is given up for those who end.
    async with full.client() as client:
        runs = [await client.create() for _ in range(WRITERS)]
        if full.fill is fill_bytes:
            full.filler.write_bytes(bytes(free_bytes(full.disk) - 4 * MIB))
        written = await asyncio.gather(*(until_full(client, run) for run in runs))
        assert sum(map(len, written)) > WRITERS
        for run, data in zip(runs, written, strict=True):
            found = await client.get(run)
            assert found.state == FAILED
            assert [one.digest for one in found.entities] == [digest_of(one) for one in data]
        await client.delete(runs[0])
    assert full.defects() == []


async def until_full(client: Client, run: str) -> list[bytes]:
    """Record until there is no room, then end the run; what was acknowledged."""
    written: list[bytes] = []
    while True:
        data = uuid.uuid4().bytes.hex().encode() * 512
        try:
            await client.record(f"{run}/uploads/{len(written)}", data)
        except grpc.aio.AioRpcError as error:
            if reason_of(error) != "STORAGE_FULL":
                raise
            await client.end(run)
            return written
        written.append(data)


def reason_of(answer: object) -> str:
    assert isinstance(answer, grpc.aio.AioRpcError)
    return from_rpc_error(answer, "recorder").reason


async def is_ended(client: Client, run: str) -> bool:
    found = await client.get(run)
    return found.state == FAILED and found.error.reason == "RUN_DEADLINE"


async def committed(client: Client, upload: str) -> int:
    request = pb.GetUploadRequest(upload=upload)
    return (await client.stub.GetUpload(request, timeout=ANSWER_SECONDS)).committed_size
