"""A recorder killed while drivers come and go: no epoch that was answered is ever given again."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.kit.status import from_rpc_error
from services.recorder.verify import verify_run
from tests.faults.disturbed import Stub
from tests.faults.recorder_process import RecorderProcess
from tests.integration.recorder.harness import entity, plan
from tests.support.eventually import eventually

FEW, MANY = 5, 300
RUNS = 4
DRIVERS = 3
LONG = Duration(seconds=60)
RESEARCH = run_pb2.AUDIENCE_RESEARCH


@asynccontextmanager
async def recorder_over(root: Path, log: Path) -> AsyncIterator[tuple[RecorderProcess, Stub]]:
    """A serving recorder that is killed at the end, if it is still there."""
    process = RecorderProcess(root, log)
    try:
        process.wait_until_serving()
        async with grpc.aio.insecure_channel(process.target) as channel:
            yield process, recorder_pb2_grpc.RecorderServiceStub(channel)
    finally:
        process.kill()


async def created(stub: Stub, owner: str | None = None, ttl: Duration = LONG) -> str:
    request = pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=plan())
    if owner is not None:
        request.claim.CopyFrom(pb.Claim(owner=owner, ttl=ttl))
    return (await stub.CreateRun(request, timeout=5)).run.name


async def claimed(
    stub: Stub, run: str, owner: str, *, force: bool = False, ttl: Duration = LONG
) -> int:
    """The epoch; 0 when somebody else has it."""
    request = pb.ClaimRunRequest(name=run, claim=pb.Claim(owner=owner, ttl=ttl), force=force)
    return (await stub.ClaimRun(request, timeout=5)).epoch


async def written(stub: Stub, run: str, epoch: int) -> str:
    """OK, or why not."""
    request = pb.RecordEntityRequest(
        upload=f"{run}/uploads/{uuid.uuid4()}",
        entity=entity("interception", metadata={"epoch": str(epoch)}),
        data=b"Eine Blume",
        epoch=epoch,
    )
    try:
        await stub.RecordEntity(request, timeout=5)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error, "recorder").reason
    return "OK"


@dataclass
class Told:
    """What the drivers of one run were told."""

    owners: dict[int, str] = field(default_factory=dict)

    @property
    def newest(self) -> int:
        return max(self.owners, default=0)

    def note(self, owner: str, epoch: int) -> None:
        assert self.owners.setdefault(epoch, owner) == owner, "an epoch is given once"


async def drive_until_it_dies(
    stub: Stub, driver: int, told: dict[str, Told], chance: random.Random
) -> None:
    """Take runs from others, write, give back; each time under another name, as after a start."""
    number = 0
    while True:
        number += 1
        owner = f"driver-{driver}-{chance.getrandbits(32)}-{number}"
        run = chance.choice(list(told))
        try:
            epoch = await claimed(stub, run, owner, force=chance.random() < 0.7)
            if not epoch:
                continue
            told[run].note(owner, epoch)
            await written(stub, run, epoch)
            if chance.random() < 0.3:
                release = pb.ReleaseClaimRequest(name=run, owner=owner, epoch=epoch)
                release.delay.FromMilliseconds(chance.choice([0, 1, 60_000]))
                await stub.ReleaseClaim(release, timeout=5)
        except grpc.aio.AioRpcError:
            return


async def nobody_is_forgotten(stub: Stub, root: Path, told: dict[str, Told]) -> None:
    for run, of_run in told.items():
        # Whoever was replaced hears of it, whatever the recorder went through.
        for epoch in sorted(of_run.owners)[-4:-1]:
            assert await written(stub, run, epoch) == "FENCED"
        owner = f"looks-{uuid.uuid4()}"
        epoch = await claimed(stub, run, owner, force=True)
        assert epoch > of_run.newest, "an epoch only grows"
        of_run.note(owner, epoch)
        assert await written(stub, run, epoch) == "OK"
        recorded = (await stub.GetRun(pb.GetRunRequest(name=run, audience=RESEARCH))).run.entities
        epochs = [int(one.metadata["epoch"]) for one in recorded]
        assert epochs == sorted(epochs), "nobody writes after whoever came after"
        assert verify_run(root / run.removeprefix("runs/")) == []
        of_run_files = list((root / ".claims").glob(f"{run.removeprefix('runs/')}.*"))
        assert len(of_run_files) == 1


async def killed_at_random(root: Path, log: Path, rounds: int) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    told: dict[str, Told] = {}
    for _ in range(rounds):
        async with recorder_over(root, log) as (process, stub):
            if not told:
                told = {await created(stub, f"creator-{n}"): Told() for n in range(RUNS)}
                for number, of_run in enumerate(told.values()):
                    of_run.note(f"creator-{number}", 1)
            await nobody_is_forgotten(stub, root, told)
            drivers = [
                asyncio.create_task(drive_until_it_dies(stub, driver, told, chance))
                for driver in range(DRIVERS)
            ]
            await asyncio.sleep(chance.uniform(0.02, 0.2))  # the random moment
            process.kill()
            await asyncio.gather(*drivers)
    async with recorder_over(root, log) as (_, stub):
        await nobody_is_forgotten(stub, root, told)
        for run in told:
            end = pb.FinalizeRunRequest(name=run, state=run_pb2.RUN_STATE_CANCELLED)
            await stub.FinalizeRun(end, timeout=5)
        assert list((root / ".claims").iterdir()) == []
    assert sum(len(one.owners) for one in told.values()) > 3 * RUNS * rounds


async def test_killed_a_few_times_no_epoch_is_given_twice(tmp_path: Path) -> None:
    await killed_at_random(tmp_path / "runs", tmp_path / "log", FEW)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_killed_three_hundred_times_no_epoch_is_given_twice(tmp_path: Path) -> None:
    await killed_at_random(tmp_path / "runs", tmp_path / "log", MANY)


async def test_a_killed_recorder_knows_every_driver_when_it_is_back(tmp_path: Path) -> None:
    root, log = tmp_path / "runs", tmp_path / "log"
    async with recorder_over(root, log) as (process, stub):
        mine = await created(stub, "first")
        taken = await created(stub, "first")
        given_back = await created(stub, "first")
        put_off = await created(stub, "first")
        unclaimed = await created(stub)
        assert await claimed(stub, taken, "second", force=True) == 2
        for run, delay in ((given_back, 0), (put_off, 60)):
            request = pb.ReleaseClaimRequest(name=run, owner="first", epoch=1)
            request.delay.FromSeconds(delay)
            await stub.ReleaseClaim(request, timeout=5)
        process.kill()
    async with recorder_over(root, log) as (_, stub):
        answer = await stub.ListClaimableRuns(pb.ListClaimableRunsRequest(), timeout=5)
        assert {one.name: one.begun for one in answer.runs} == {given_back: True, unclaimed: False}
        assert [(one.user_id, one.claimed) for one in answer.loads] == [("pseudonym-1", 2)]
        assert [await claimed(stub, run, "third") for run in (mine, taken, put_off)] == [0, 0, 0]
        assert await written(stub, taken, 1) == "FENCED"
        assert await written(stub, taken, 2) == "OK"
        assert await claimed(stub, mine, "first") == 1
        assert await claimed(stub, put_off, "third", force=True) == 2
        # A rest of a claim whose end did not reach the disk goes at the next start.
        end = pb.FinalizeRunRequest(name=taken, state=run_pb2.RUN_STATE_CANCELLED)
        await stub.FinalizeRun(end, timeout=5)
    (root / ".claims" / f"{taken.removeprefix('runs/')}.2.60000.0.second").touch()
    async with recorder_over(root, log) as (_, stub):
        assert not list((root / ".claims").glob(f"{taken.removeprefix('runs/')}.*"))
        assert await claimed(stub, mine, "first") == 1


async def test_a_claim_nobody_renews_after_a_restart_holds_for_one_ttl_only(
    tmp_path: Path,
) -> None:
    root, log = tmp_path / "runs", tmp_path / "log"
    short = Duration(nanos=500_000_000)
    async with recorder_over(root, log) as (process, stub):
        runs = [await created(stub, "first", short), await created(stub)]
        assert await claimed(stub, runs[1], "first", ttl=short) == 1
        process.kill()
    async with recorder_over(root, log) as (_, stub):

        async def taken(run: str) -> bool:
            return await claimed(stub, run, "second") == 2

        for run in runs:
            await eventually(partial(taken, run), what="the driver is given up")
