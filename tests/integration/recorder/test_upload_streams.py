"""Streams that take their time: empty messages keep one alive, silence ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from services.kit.errors import DeadlineExceeded, ResourceExhausted
from services.recorder import writing
from tests.integration.recorder.harness import World, digest_of, picture, stream, until


async def test_empty_messages_put_the_end_for_silence_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "STREAM_IDLE_SECONDS", 2.0)
    upload = f"{await world.create()}/uploads/o"
    data = picture(3000)
    first, *rest = stream(upload, data)

    async def slowly() -> AsyncIterator[pb.WriteEntityRequest]:
        yield first
        for _ in range(30):
            await asyncio.sleep(0.1)
            yield pb.WriteEntityRequest()
        for message in rest:
            yield message

    assert (await world.write(slowly())).entity.digest == digest_of(data)


async def test_silence_ends_a_stream_and_its_upload_goes_on_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "STREAM_IDLE_SECONDS", 0.2)
    upload = f"{await world.create()}/uploads/o"
    data = picture(3000)

    async def silent() -> AsyncIterator[pb.WriteEntityRequest]:
        yield stream(upload, data)[0]
        await asyncio.Event().wait()

    with pytest.raises(DeadlineExceeded) as caught:
        await world.write(silent())
    assert caught.value.reason == "UPLOAD_IDLE"
    assert await world.uploaded(upload) == 1024
    assert (await world.write(stream(upload, data, start=1024))).entity.digest == digest_of(data)


async def test_empty_messages_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MAX_KEEPALIVES", 20)
    upload = f"{await world.create()}/uploads/o"
    data = picture(3000)
    first, *rest = stream(upload, data)
    with pytest.raises(ResourceExhausted) as caught:
        await world.write([first, *(pb.WriteEntityRequest() for _ in range(21)), *rest])
    assert caught.value.reason == "TOO_MANY_KEEPALIVES"
    assert await world.uploaded(upload) == 1024


async def test_the_committed_size_somebody_polls_never_decreases(world: World) -> None:
    upload = f"{await world.create()}/uploads/o"
    data = picture(64 * 1024)
    seen = [0]
    step = asyncio.Event()

    async def in_steps() -> AsyncIterator[pb.WriteEntityRequest]:
        for message in stream(upload, data):
            yield message
            await step.wait()
            step.clear()

    writer = asyncio.create_task(world.write(in_steps()))
    await until(lambda: world.unfinished_bytes() > 0)
    while not writer.done():
        seen.append(await world.uploaded(upload))
        step.set()
        await asyncio.sleep(0)
    assert (await writer).committed_size == len(data)
    seen.append(await world.uploaded(upload))
    assert seen == sorted(seen)
    assert seen[-1] == len(data)
