"""The power goes at any moment: what was acknowledged is on the disk.

The recorder runs as a process on a mounted file system that forgets what was not synced
(`tests.faults.power`). The journal of that file system gives the disk at every moment; what a
power cut would have left of it is opened by a new recorder.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.kit.ids import RunId
from services.recorder.domain.run import Run
from services.recorder.store.disk import DiskStore
from services.recorder.verify import verify_run
from tests.faults.power.calls import DiskCalls, store_on
from tests.faults.power.disk import LossyDisk
from tests.faults.power.mount import Mounted, mounted
from tests.faults.recorder_process import RecorderProcess
from tests.faults.test_recorder_kill import Log, create, everything_is_true, write_until_it_dies
from tests.integration.recorder.harness import digest_of, entity, picture_of, plan, stream

CLIENTS = 4
TTL = Duration(seconds=60)
# What a run is created with, and what is recorded in one call.
FIRST, BOTH = "first", ("one", "other")


@contextmanager
def recorder_on(disk: Mounted, log: Path) -> Iterator[RecorderProcess]:
    """A serving recorder whose runs live there."""
    # Thousands of writes that matter to nobody.
    process = RecorderProcess(disk.folder / "runs", log, reserve_bytes="0")
    try:
        process.wait_until_serving()
        yield process
    finally:
        process.kill()


@dataclass(frozen=True)
class Said:
    """Something a client was told, or (…ing) asked for, when the journal was that long."""

    position: int
    what: str
    name: str
    entity: run_pb2.Entity | None = None
    size: int = 0


@dataclass
class Client:
    """Does one thing after another and writes down what it was told, and when."""

    stub: recorder_pb2_grpc.RecorderServiceAsyncStub
    disk: Mounted
    said: list[Said] = field(default_factory=list)
    sent: dict[str, bytes] = field(default_factory=dict)

    def note(self, what: str, name: str, of: run_pb2.Entity | None = None, size: int = 0) -> None:
        self.said.append(Said(self.disk.position(), what, name, of, size))

    async def create(self) -> str:
        claim = pb.Claim(owner="creator", ttl=TTL)
        request = pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=plan(), claim=claim)
        upload = f"runs/{request.request_id}/uploads/{FIRST}"
        request.entities.append(self.new(upload, b"first"))
        answer = await self.stub.CreateRun(request, timeout=5)
        self.note("created", answer.run.name)
        self.note("entity", upload, answer.run.entities[0])
        self.note("claimed", answer.run.name, size=answer.epoch)
        return answer.run.name

    def new(self, upload: str, data: bytes) -> pb.NewEntity:
        self.sent[upload] = data
        name = upload.rpartition("/")[2]
        return pb.NewEntity(upload_id=name, entity=entity("interception"), data=data)

    async def claim(self, run: str, owner: str) -> None:
        claim = pb.Claim(owner=owner, ttl=TTL)
        request = pb.ClaimRunRequest(name=run, claim=claim, force=True)
        epoch = (await self.stub.ClaimRun(request, timeout=5)).epoch
        self.note("claimed", run, size=epoch)

    async def record(self, upload: str, data: bytes) -> None:
        self.sent[upload] = data
        request = pb.RecordEntityRequest(upload=upload, entity=entity("interception"), data=data)
        answer = await self.stub.RecordEntity(request, timeout=5)
        self.note("entity", upload, answer.entity)

    async def record_both(self, run: str) -> None:
        uploads = [f"{run}/uploads/{name}" for name in BOTH]
        entities = [self.new(upload, upload.encode()) for upload in uploads]
        request = pb.RecordEntitiesRequest(name=run, entities=entities)
        answer = await self.stub.RecordEntities(request, timeout=5)
        for upload, one in zip(uploads, answer.entities, strict=True):
            self.note("entity", upload, one)

    async def write(self, upload: str, data: bytes, start: int, end: int) -> None:
        self.sent[upload] = data
        messages = stream(upload, data, chunk=64 * 1024, start=start)
        part = [one for one in messages if one.offset < end]
        written = await self.stub.WriteEntity(iter(part), timeout=10)
        if written.HasField("entity"):
            self.note("entity", upload, written.entity)
        else:
            self.note("committed", upload, size=written.committed_size)

    async def erase(self, name: str) -> None:
        self.note("erasing", name)
        request = pb.EraseEntityRequest(name=name, reason="SAFETY_BLOCKED")
        answer = await self.stub.EraseEntity(request, timeout=5)
        self.note("erased", name, answer.entity)

    async def finalize(self, run: str) -> None:
        self.note("finalizing", run)
        request = pb.FinalizeRunRequest(name=run, state=run_pb2.RUN_STATE_CANCELLED)
        await self.stub.FinalizeRun(request, timeout=5)
        self.note("final", run)

    async def delete(self, run: str) -> None:
        self.note("deleting", run)
        await self.stub.DeleteRun(pb.DeleteRunRequest(name=run), timeout=5)
        self.note("deleted", run)

    async def work(self) -> None:
        """Everything a run can go through."""
        other = await self.create()
        await self.record(f"{other}/uploads/a", b"a")
        run = await self.create()
        await self.claim(run, "second")
        await self.record(f"{run}/uploads/input", b"Eine Blume")
        await self.claim(run, "third")
        picture = picture_of(random.Random(1).randbytes(400 * 1024))
        await self.write(f"{run}/uploads/output", picture, 0, 150 * 1024)
        await self.write(f"{run}/uploads/half", picture, 0, 100 * 1024)
        await self.record(f"{run}/uploads/text", b"text " * 1000)
        await self.record_both(run)
        await self.write(f"{run}/uploads/output", picture, 192 * 1024, len(picture))
        await self.delete(other)
        await self.record(f"{run}/uploads/more", b"more")
        await self.erase(f"{run}/entities/3")
        await self.finalize(run)


def is_true_after_a_power_cut(disk: LossyDisk, client: Client, position: int) -> None:
    """A recorder that opens this disk keeps everything that was said up to that position."""
    said = [one for one in client.said if one.position <= position]
    gone = {one.name for one in said if one.what == "deleting"}
    erasing = {one.name for one in said if one.what == "erasing"}
    ending = gone | {one.name for one in said if one.what == "finalizing"}
    with tempfile.TemporaryDirectory() as folder, store_on(DiskCalls(disk, Path(folder))):
        store = DiskStore(Path(folder))
        contents = store.open()
        assert not contents.damaged
        runs = {run_id.name: store.load_run(run_id) for run_id in contents.run_ids}
        for name, run in runs.items():
            assert verify_run(Path(folder) / name.removeprefix("runs/")) == []
            assert run.entity_of_upload(FIRST), "a run is never seen without its first entity"
            assert len({run.entity_of_upload(one) is None for one in BOTH}) == 1, "both or none"
            for one in run.entities:
                sent = client.sent[f"{name}/uploads/{one.upload_id}"]
                assert one.sha256 == digest_of(sent).sha256
                assert not one.is_erased or f"{name}/entities/{one.sequence}" in erasing
        uploads = {str(one.record.name): one for one in contents.uploads}
        for fact in said:
            name = "/".join(fact.name.split("/")[:2])
            if fact.what == "deleted":
                assert name not in runs
                run_id = RunId.parse_name(name).value
                left = [path for path, _ in disk.walk() if run_id in str(path)]
                assert left == [Path(".tombstones", run_id)]
            if name in gone:
                continue
            assert name in runs
            if fact.what == "erased":
                erased = runs[name].entity(int(fact.name.rpartition("/")[2]))
                assert erased.is_erased
                assert not (Path(folder) / name.removeprefix("runs/") / erased.filename).exists()
            if fact.what == "final":
                assert runs[name].is_final
            if fact.what == "claimed" and fact.size > 1 and not runs[name].is_final:
                assert contents.claims[RunId.parse_name(name)].epoch >= fact.size
            if fact.entity is not None:
                assert is_there(runs[name], fact.entity)
            if fact.what == "committed" and name not in ending:
                if runs[name].entity_of_upload(fact.name.rpartition("/")[2]) is None:
                    upload = uploads[fact.name]
                    assert upload.size_bytes >= fact.size
                    start = read_start(disk, fact.name, fact.size)
                    assert start == client.sent[fact.name][: fact.size]
        store.close()


def is_there(run: Run, said: run_pb2.Entity) -> bool:
    found = run.entities[said.sequence - 1]
    return (found.sha256, found.size_bytes) == (said.digest.sha256, said.digest.size_bytes)


def read_start(disk: LossyDisk, upload: str, size: int) -> bytes:
    """The first bytes of an unfinished upload."""
    _, run_id, _, upload_id = upload.split("/")
    files = dict(disk.walk())
    return (files[Path(".uploads") / f"{run_id}.{upload_id}.data"] or b"")[:size]


async def everything_a_client_was_told(tmp_path: Path) -> tuple[Client, Mounted]:
    with mounted(tmp_path / "power", LossyDisk()) as disk:
        with recorder_on(disk, tmp_path / "log") as process:
            async with grpc.aio.insecure_channel(process.target) as channel:
                client = Client(recorder_pb2_grpc.RecorderServiceStub(channel), disk)
                await client.work()
    return client, disk


async def cut_everywhere(tmp_path: Path, survivors: int) -> int:
    client, mount = await everything_a_client_was_told(tmp_path)
    assert len(client.said) >= 10
    cuts = 0
    for position, disk in mount.disks():
        if "runs" not in disk.folder(1).names:
            continue
        for seed in [None, *range(survivors)]:
            chance = None if seed is None else random.Random(f"{position} {seed}")
            left = disk.after_power_loss(chance)
            root = left.subtree("runs")
            if root is not None:
                is_true_after_a_power_cut(root, client, position)
                cuts += 1
            else:
                assert not [one for one in client.said if one.position <= position]
    return cuts


async def test_a_power_cut_after_any_operation_takes_nothing_acknowledged(tmp_path: Path) -> None:
    assert await cut_everywhere(tmp_path, survivors=2) > 100


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_power_cut_after_any_operation_with_any_remains_takes_nothing_acknowledged(
    tmp_path: Path,
) -> None:
    assert await cut_everywhere(tmp_path, survivors=200) > 10_000


async def power_cuts(tmp_path: Path, rounds: int, seed: int) -> int:
    """Four clients write, the power goes, what was synced is mounted again and has to be true."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    disk, acknowledged = LossyDisk(), 0
    told: list[tuple[str, Log]] = []
    for number in range(rounds + 1):
        with mounted(tmp_path / str(number), disk) as mount:
            with recorder_on(mount, tmp_path / "log") as process:
                if told:  # the round before, seen by a recorder that knows only the disk
                    await everything_is_true(process.target, mount.folder / "runs", *told[-1])
                run_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
                run, log = await create(process.target, run_id), Log()
                told.append((run, log))
                clients = [
                    asyncio.create_task(write_until_it_dies(process.target, run, log, chance))
                    for _ in range(CLIENTS)
                ]
                await asyncio.sleep(chance.uniform(0.05, 0.5))  # the random moment
                mount.off()
                process.kill()
                await asyncio.gather(*clients)
            disk = mount.disk().after_power_loss(chance.choice([None, chance]))
        acknowledged += len(log.acknowledged)
    return acknowledged


async def test_a_power_cut_at_a_random_moment_takes_nothing_acknowledged(tmp_path: Path) -> None:
    assert await power_cuts(tmp_path, rounds=3, seed=random.randrange(1_000_000)) > 3


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_hundred_power_cuts_take_nothing_acknowledged(tmp_path: Path) -> None:
    assert await power_cuts(tmp_path, rounds=100, seed=random.randrange(1_000_000)) > 100
