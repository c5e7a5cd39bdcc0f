"""An output of several files: each an entity, in order, and each exactly once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from artlab.recorder.v1 import recorder_pb2, run_pb2
from services.kit.ids import RunId, UploadName
from services.media.domain.request import upload_of_file
from services.media.upload_stream import UploadStream
from tests.fakes.media_backend import ReadFailure, picture_bytes
from tests.integration.media.world import CALL_SECONDS, World, sha256
from tests.support.rpc import refused

FILES = [picture_bytes(size, fill) for size, fill in ((1000, 1), (600_000, 2), (2000, 3))]


async def entities(world: World, upload: str) -> list[run_pb2.Entity]:
    """What is recorded of the run."""
    name = upload.partition("/uploads/")[0]
    asked = recorder_pb2.GetRunRequest(name=name, audience=run_pb2.AUDIENCE_RESEARCH)
    return list((await world.recorder.GetRun(asked, timeout=CALL_SECONDS)).run.entities)


async def all_made(world: World, upload: str) -> list[run_pb2.Entity]:
    """Ask, and return the entities of the answer."""
    answers = [answer async for answer in world.generate(upload)]
    fractions = [answer.progress.fraction for answer in answers[:-1]]
    assert fractions == sorted(fractions)
    return list(answers[-1].result.entities)


@pytest.fixture
def several(world: World) -> World:
    """A backend that makes three files."""
    world.backend.data, *world.backend.others = FILES
    world.backend.go.set()
    return world


async def test_every_file_is_an_entity_of_the_same_output_in_order(several: World) -> None:
    upload = await several.upload()
    made = await all_made(several, upload)
    assert [entity.digest.sha256 for entity in made] == [sha256(data) for data in FILES]
    assert [entity.sequence for entity in made] == [1, 2, 3]
    assert {entity.output_index for entity in made} == {1}
    assert {entity.type for entity in made} == {"output_image"}
    assert {entity.metadata["files"] for entity in made} == {"3"}
    assert len({entity.metadata["request_digest"] for entity in made}) == 1
    # Asked again nothing is made, and the answer is the same.
    assert await all_made(several, upload) == made == await entities(several, upload)
    assert len(several.backend.jobs) == 1


@pytest.mark.parametrize("cancelled_at", [1, 3])
async def test_cancelled_when_a_file_was_taken_in_already_no_other_one_is_begun(
    several: World, monkeypatch: pytest.MonkeyPatch, cancelled_at: int
) -> None:
    upload = await several.upload()
    loop, run, taken_in = asyncio.get_running_loop(), UploadStream.run, 0

    def run_and_cancel(stream: UploadStream, write_entity: Any) -> Any:
        nonlocal taken_in
        answer = run(stream, write_entity)
        taken_in += 1
        if taken_in == cancelled_at:
            (job,) = several.jobs._jobs.values()
            loop.call_soon_threadsafe(job.task.cancel)
        return answer

    monkeypatch.setattr(UploadStream, "run", run_and_cancel)
    if cancelled_at == len(FILES):
        assert len(await all_made(several, upload)) == len(FILES), "it came too late"
    else:
        async with refused("CANCELLED", "MEDIA_CANCELLED"):
            await all_made(several, upload)
    assert len(await entities(several, upload)) == cancelled_at


@pytest.mark.parametrize("broken", [2, 3])
async def test_after_a_break_in_between_only_what_is_missing_is_written(
    several: World, broken: int
) -> None:
    upload = await several.upload()
    several.backend.before_chunk = ReadFailure(0, broken, OSError("the disk of the backend"))
    async with refused("INTERNAL", "MEDIA_READ_FAILED"):
        await all_made(several, upload)
    before = await entities(several, upload)
    assert len(before) == broken - 1
    several.backend.before_chunk = None
    several.backend.readings = 0
    made = await all_made(several, upload)
    assert made[: broken - 1] == before
    assert [entity.digest.sha256 for entity in made] == [sha256(data) for data in FILES]
    assert await entities(several, upload) == made
    assert several.backend.readings == len(FILES) - len(before)


async def test_cancelled_in_between_another_request_of_the_name_is_refused(
    several: World,
) -> None:
    upload = await several.upload()
    loop, second = asyncio.get_running_loop(), asyncio.Event()

    def tell(offset: int, reading: int) -> None:
        if (offset, reading) == (0, 2):
            loop.call_soon_threadsafe(second.set)

    several.backend.before_chunk = tell
    call = asyncio.create_task(all_made(several, upload))
    await second.wait()
    cancelled = await several.cancel(upload)
    if cancelled:
        async with refused("CANCELLED", "MEDIA_CANCELLED"):
            await call
    else:
        await call
    async with refused("ALREADY_EXISTS", "JOB_DIFFERS"):
        await several.made(upload, prompt="something else")
    assert len(await all_made(several, upload)) == 3


async def test_when_another_number_of_files_is_made_the_second_time_the_output_fails(
    several: World,
) -> None:
    upload = await several.upload()
    several.backend.before_chunk = ReadFailure(0, 2, OSError("the disk of the backend"))
    async with refused("INTERNAL", "MEDIA_READ_FAILED"):
        await all_made(several, upload)
    several.backend.before_chunk = None
    several.backend.others.pop()
    async with refused("DATA_LOSS", "PRODUCT_CHANGED"):
        await all_made(several, upload)


async def test_more_files_than_one_output_may_have_are_refused(several: World) -> None:
    several.backend.others = [FILES[0]] * 64
    upload = await several.upload()
    async with refused("FAILED_PRECONDITION", "MEDIA_TOO_LARGE"):
        await all_made(several, upload)
    assert not await entities(several, upload)


def test_the_names_of_files_are_valid_and_differ_whatever_the_name_of_the_first() -> None:
    run = RunId.new()
    for first in ("output-1", "a" * 64, "a" * 63 + "b"):
        names = [upload_of_file(UploadName(run, first), number) for number in range(1, 65)]
        assert names[0].upload_id == first
        assert len(set(names)) == 64
    long = [upload_of_file(UploadName(run, "a" * 63 + end), 2) for end in "ab"]
    assert long[0] != long[1]
