"""Jobs and the claims on their runs: a newer driver gets what is in work, an older one nothing."""

from __future__ import annotations

import asyncio
import threading

import grpc.aio
import pytest

from artlab.media.v1 import media_pb2
from artlab.recorder.v1 import run_pb2
from services.media import jobs
from tests.fakes.media_backend import CHUNK_BYTES, picture_bytes
from tests.integration.media.world import World, entity_of, media_beside, rest_of, sha256
from tests.support.eventually import eventually
from tests.support.rpc import refused

Call = grpc.aio.UnaryStreamCall[media_pb2.GenerateMediaRequest, media_pb2.GenerateMediaResponse]

pytestmark = pytest.mark.timeout(60)


async def begun(call: Call) -> None:
    """Wait until its job is in work."""
    async for answer in call:
        if answer.progress.phase == run_pb2.RENDER_PHASE_EXECUTING:
            return


class Held:
    """Keeps a reading at its second chunk until it is let go."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, offset: int, reading: int) -> None:
        if offset and reading == 1:
            self.reached.set()
            self.go.wait(30)


async def test_what_is_recorded_is_recorded_under_the_claim(world: World) -> None:
    upload = await world.upload()
    epoch = await world.claim(upload)
    world.backend.go.set()
    entity = await world.made(upload, epoch=epoch)
    assert await world.bytes_of(entity) == world.backend.data


async def test_a_driver_whose_time_is_over_is_refused_before_anything_is_made(
    world: World,
) -> None:
    upload = await world.upload()
    old, new = await world.claim(upload), await world.claim(upload)
    world.backend.go.set()
    async with refused("FAILED_PRECONDITION", "FENCED"):
        await world.made(upload, epoch=old)
    assert not world.backend.jobs
    assert await world.made(upload, epoch=new)


async def test_a_newer_driver_takes_the_job_in_work_and_the_older_one_is_told(
    world: World,
) -> None:
    upload = await world.upload()
    first = world.generate(upload, epoch=await world.claim(upload))
    await begun(first)
    second = world.generate(upload, epoch=await world.claim(upload))
    await begun(second)
    async with refused("FAILED_PRECONDITION", "FENCED"):
        await rest_of(first)
    world.backend.go.set()
    entity = entity_of(await rest_of(second))
    assert await world.bytes_of(entity) == world.backend.data
    assert len(world.backend.jobs) == 1


async def test_an_older_driver_cannot_join_the_job_of_a_newer_one(world: World) -> None:
    upload = await world.upload()
    old, new = await world.claim(upload), await world.claim(upload)
    call = world.generate(upload, epoch=new)
    await begun(call)
    async with refused("FAILED_PRECONDITION", "FENCED"):
        await world.made(upload, epoch=old)
    # Who drives nothing is as welcome as ever.
    joined = asyncio.create_task(world.made(upload))
    world.backend.go.set()
    assert (await joined).name == entity_of(await rest_of(call)).name
    assert len(world.backend.jobs) == 1


async def test_who_wants_another_thing_does_not_take_the_job(world: World) -> None:
    upload = await world.upload()
    first = world.generate(upload, epoch=await world.claim(upload))
    await begun(first)
    newer = await world.claim(upload)
    async with refused("ALREADY_EXISTS", "JOB_DIFFERS"):
        await world.made(upload, epoch=newer, prompt="Etwas anderes")
    # It is the first one's yet; only the recorder will not have it.
    world.backend.go.set()
    async with refused("FAILED_PRECONDITION", "FENCED"):
        await rest_of(first)


@pytest.mark.parametrize("adopt_only", [False, True])
async def test_what_is_made_when_the_claim_is_lost_is_kept_for_the_newer_driver(
    world: World, adopt_only: bool
) -> None:
    upload = await world.upload()
    call = world.generate(upload, epoch=await world.claim(upload))
    await begun(call)
    newer = await world.claim(upload)
    world.backend.go.set()
    async with refused("FAILED_PRECONDITION", "FENCED"):
        await rest_of(call)
    entity = await world.made(upload, epoch=newer, adopt_only=adopt_only)
    assert await world.bytes_of(entity) == world.backend.data
    assert len(world.backend.jobs) == 1


async def test_a_claim_lost_in_the_middle_of_the_bytes_costs_none_of_them(world: World) -> None:
    upload = await world.upload()
    world.backend.data = picture_bytes(12 * CHUNK_BYTES)
    held = world.backend.before_chunk = Held()
    world.backend.go.set()
    call = world.generate(upload, epoch=await world.claim(upload))
    ended = asyncio.create_task(rest_of(call))
    assert await asyncio.to_thread(held.reached.wait, 10)
    newer = await world.claim(upload)
    held.go.set()
    async with refused("FAILED_PRECONDITION", "FENCED"):
        await ended
    entity = await world.made(upload, epoch=newer)
    assert entity.digest.sha256 == sha256(world.backend.data)
    assert len(world.backend.jobs) == 1


async def test_what_nobody_asks_for_after_a_lost_claim_is_let_go(recorder_target: str) -> None:
    async with media_beside(recorder_target, grace_seconds=0.2) as world:
        upload = await world.upload()
        call = world.generate(upload, epoch=await world.claim(upload))
        await begun(call)
        newer = await world.claim(upload)
        world.backend.go.set()
        async with refused("FAILED_PRECONDITION", "FENCED"):
            await rest_of(call)
        await eventually(lambda: not world.jobs._jobs)
        # It was a backend that remembers nothing.
        assert await world.made(upload, epoch=newer)
        assert len(world.backend.jobs) == 2


async def test_who_may_only_take_what_is_there_makes_nothing(world: World) -> None:
    upload = await world.upload()
    world.backend.go.set()
    async with refused("NOT_FOUND", "LATE_RESULT_NOT_FOUND"):
        await world.made(upload, adopt_only=True)
    assert not world.backend.jobs
    entity = await world.made(upload)
    assert (await world.made(upload, adopt_only=True)).name == entity.name
    assert len(world.backend.jobs) == 1


async def test_who_may_only_take_what_is_there_waits_for_work_for_a_moment_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ADOPT_SECONDS", 0.1)
    upload = await world.upload()
    call = world.generate(upload)
    await begun(call)
    async with refused("NOT_FOUND", "LATE_RESULT_NOT_FOUND"):
        await world.made(upload, adopt_only=True)
    world.backend.go.set()
    entity = entity_of(await rest_of(call))
    assert (await world.made(upload, adopt_only=True)).name == entity.name
