"""Two copies of the media service, and one output that both of them were asked for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from artlab.recorder.v1 import recorder_pb2, run_pb2
from services.media.upload_stream import SMALL_BYTES
from tests.fakes.media_backend import CHUNK_BYTES, picture_bytes
from tests.integration.media.world import CALL_SECONDS, World, media_beside, sha256

GRACE_SECONDS = 0.5


@pytest.fixture(params=[GRACE_SECONDS])
async def copies(
    recorder_target: str, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[World, World]]:
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(
                media_beside(recorder_target, grace_seconds=request.param)
            )
            for _ in range(2)
        ]
        yield one, two


class Slowly:
    """Lets a reading take its time; says when it is under way."""

    def __init__(self, seconds_per_chunk: float) -> None:
        self.under_way = threading.Event()
        self._seconds = seconds_per_chunk

    def __call__(self, offset: int, reading: int) -> None:
        # What could still be sent whole has not begun at the recorder.
        if offset > SMALL_BYTES:
            self.under_way.set()
        time.sleep(self._seconds)


async def _entities(world: World, upload: str) -> int:
    asked = recorder_pb2.GetRunRequest(
        name=upload.split("/uploads/")[0], audience=run_pb2.AUDIENCE_RESEARCH
    )
    return len((await world.recorder.GetRun(asked, timeout=CALL_SECONDS)).run.entities)


async def _lost(world: World, upload: str) -> None:
    """Ask, and go away once it is being made."""
    call = world.generate(upload)
    async for _ in call:
        break
    call.cancel()


async def test_what_a_first_copy_still_writes_gives_way_to_the_second(
    copies: tuple[World, World],
) -> None:
    first, second = copies
    upload = await first.upload()
    for world in copies:
        world.backend.data = picture_bytes(12 * CHUNK_BYTES)
        world.backend.before_chunk = Slowly(0.1)
        world.backend.go.set()
    call = asyncio.create_task(_lost(first, upload))
    assert isinstance(first.backend.before_chunk, Slowly)
    assert await asyncio.to_thread(first.backend.before_chunk.under_way.wait, 10)
    await call
    entity = await second.made(upload)
    assert entity.digest.sha256 == sha256(second.backend.data)
    assert await _entities(second, upload) == 1
    assert second.backend.readings == 1


async def test_a_first_copy_that_gives_up_leaves_the_second_alone(
    copies: tuple[World, World],
) -> None:
    first, second = copies
    upload = await first.upload()
    await _lost(first, upload)  # it renders for its grace, then it is stopped
    second.backend.data = picture_bytes(12 * CHUNK_BYTES)
    second.backend.before_chunk = Slowly(0.1)
    second.backend.go.set()
    entity = await second.made(upload)
    assert first.backend.cancelled.is_set()
    assert entity.digest.sha256 == sha256(second.backend.data)
    assert second.backend.readings == 1


@pytest.mark.parametrize("copies", [30.0], indirect=True)
async def test_a_first_copy_that_is_done_too_late_finds_the_work_of_the_second(
    copies: tuple[World, World],
) -> None:
    first, second = copies
    upload = await first.upload()
    await _lost(first, upload)
    second.backend.data = picture_bytes(40 * CHUNK_BYTES)
    slowly = second.backend.before_chunk = Slowly(0.03)
    second.backend.go.set()
    making = asyncio.create_task(second.made(upload))
    assert await asyncio.to_thread(slowly.under_way.wait, 10)
    first.backend.go.set()  # within its grace
    entity = await making
    assert entity.digest.sha256 == sha256(second.backend.data)
    assert second.backend.readings == 1
    assert await _entities(second, upload) == 1
