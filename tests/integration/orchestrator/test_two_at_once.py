"""Two orchestrators that are asked the same thing at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc.aio
import pytest

from artlab.orchestrator.v1 import orchestrator_pb2 as pb
from services.kit.ids import RunId
from services.kit.status import from_rpc_error
from services.orchestrator.claims import Claim
from services.orchestrator.domain.run import PreparedImage
from tests.support.eventually import eventually
from tests.support.people_world import MediaOfMany, Orchestrator, PeopleWorld, people_world
from tests.support.pictures import picture_of


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PeopleWorld]:
    async with people_world(tmp_path) as world:
        yield world


def _is_made(world: PeopleWorld, run_id: RunId) -> bool:
    return bool(world.prompts(run_id))


async def _is_driven(world: PeopleWorld, run_id: RunId) -> bool:
    return (await world.run(run_id)).state == "running"


async def _both(world: PeopleWorld) -> list[Orchestrator]:
    return [world.first, await world.orchestrator()]


async def test_a_start_that_is_sent_to_two_is_one_run_for_both(world: PeopleWorld) -> None:
    both = await _both(world)
    for _ in range(4):
        run_id = RunId.new()
        request = pb.StartRunRequest(
            request_id=str(run_id),
            user_id="anna",
            config_name="dada",
            input_text="Eine Blume",
            output_configs=["one"],
        )
        answers = await asyncio.gather(*(one.stub.StartRun(request, timeout=10) for one in both))
        assert {answer.run.name for answer in answers} == {run_id.name}
        assert (await world.ended(run_id)).state == "succeeded"


async def test_a_cancel_that_is_sent_to_two_is_answered_by_both(world: PeopleWorld) -> None:
    both = await _both(world)
    driving = await world.orchestrator()
    world.media.gate.clear()
    for _ in range(3):
        world.stub = driving.stub
        run_id = await world.start()
        await eventually(partial(_is_made, world, run_id), what="a job")
        request = pb.CancelRunRequest(name=run_id.name)
        answers = await asyncio.gather(*(one.stub.CancelRun(request, timeout=5) for one in both))
        assert [answer.run.name for answer in answers] == [run_id.name] * 2
        assert (await world.run(run_id)).state == "cancelled"


async def test_a_picture_for_a_run_that_is_taken_meanwhile_is_to_be_sent_again(
    world: PeopleWorld,
) -> None:
    run_id = await world.start(output_configs=["morph"], input_images=1)
    await eventually(partial(_is_driven, world, run_id), what="a driver")
    whole = pb.AddInputImageRequest(name=run_id.name, index=1, data=picture_of(b"one"))

    async def taken_meanwhile() -> AsyncIterator[pb.AddInputImageRequest]:
        yield whole
        await world.recorder.claim(run_id, Claim("another", 0.5), force=True)

    await _sent(world, whole, world.stub.AddInputImage(taken_meanwhile(), timeout=10))
    assert (await world.ended(run_id)).state == "succeeded"


async def _sent(
    world: PeopleWorld, whole: pb.AddInputImageRequest, first: Awaitable[object]
) -> None:
    # The channel may have sent it again by itself.
    try:
        await first
    except grpc.aio.AioRpcError as error:
        if from_rpc_error(error, "orchestrator").reason != "RUN_TAKEN":
            raise
        await world.stub.AddInputImage(iter([whole]), timeout=10)


@dataclass
class MediaThatTakesTime(MediaOfMany):
    """Prepares pictures when it is told to."""

    preparing: asyncio.Event = field(default_factory=asyncio.Event)
    may_prepare: asyncio.Event = field(default_factory=asyncio.Event)

    async def prepare_image(self, chunks: AsyncIterator[bytes]) -> PreparedImage:
        self.preparing.set()
        await self.may_prepare.wait()
        return await super().prepare_image(chunks)


async def test_a_picture_that_comes_while_a_driver_leaves_is_to_be_sent_again(
    tmp_path: Path,
) -> None:
    media = MediaThatTakesTime()
    async with people_world(tmp_path, media=media) as world:
        run_id = await world.start(output_configs=["morph"], input_images=1)
        await eventually(partial(_is_driven, world, run_id), what="a driver")
        world.stub = (await world.orchestrator()).stub
        whole = pb.AddInputImageRequest(name=run_id.name, index=1, data=picture_of(b"one"))
        sending = world.first.stub.AddInputImage(iter([whole]), timeout=10)
        await media.preparing.wait()
        await world.first.leave()
        media.may_prepare.set()
        await _sent(world, whole, sending)
        assert (await world.ended(run_id)).state == "succeeded"
