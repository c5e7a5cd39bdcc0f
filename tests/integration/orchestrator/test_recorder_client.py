"""What the orchestrator does with entities, against a real recorder on a disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc.aio
import pytest

from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.kit.errors import AlreadyExists, FailedPrecondition
from services.kit.ids import RunId
from services.kit.streams import CHUNK_BYTES
from services.orchestrator.clients.recorder import RecorderClient
from services.orchestrator.clients.recorder_messages import chunks
from services.orchestrator.domain.run import EntityDraft, RenderWarning
from services.recorder.servicer import CAPS, register
from tests.integration.recorder.harness import World, entity, picture
from tests.support.servers import channel_to

LARGE = picture(3 * 1024 * 1024 + 17)


@dataclass
class Stage:
    """A recorder, a run in it, and the client under test."""

    world: World
    channel: grpc.aio.Channel
    client: RecorderClient
    run_id: RunId


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    world = World("disk", tmp_path / "runs")
    await world.start()
    name = await world.create()
    async with channel_to(
        "recorder", lambda server: register(world.recorder, server), caps=CAPS
    ) as channel:
        yield Stage(world, channel, RecorderClient(channel), RunId.parse_name(name))
    await world.stop()


def _draft(data: bytes) -> EntityDraft:
    return EntityDraft(
        upload_id="input-image-1",
        type="input_image",
        data=data,
        stage=1,
        audience="student",
        started=datetime.now(UTC),
        duration=timedelta(seconds=1),
        metadata={"index": "1"},
    )


async def _bytes(stage: Stage, sequence: int) -> bytes:
    return b"".join([chunk async for chunk in stage.client.read(stage.run_id, sequence)])


async def test_a_large_picture_is_recorded_once_however_often_it_is_sent(stage: Stage) -> None:
    first = await stage.client.record(stage.run_id, _draft(LARGE))
    again = await stage.client.record(stage.run_id, _draft(LARGE))
    assert first == again
    assert (first.type, first.media_type, first.metadata) == (
        "input_image",
        "image/png",
        {"index": "1"},
    )
    assert await _bytes(stage, first.sequence) == LARGE
    assert len((await stage.client.get_run(stage.run_id)).entities) == 1


async def test_an_upload_that_was_cut_goes_on_where_it_was(stage: Stage) -> None:
    upload = f"{stage.run_id.name}/uploads/input-image-1"
    stub = recorder_pb2_grpc.RecorderServiceStub(stage.channel)
    call = stub.WriteEntity(timeout=10)
    sent = 0
    async for message in chunks(upload, _draft(LARGE), 0):
        if sent == 4:
            break
        await call.write(message)
        sent += 1
    await call.done_writing()
    assert (await call).committed_size == 4 * CHUNK_BYTES
    recorded = await stage.client.record(stage.run_id, _draft(LARGE))
    assert await _bytes(stage, recorded.sequence) == LARGE


async def test_another_large_picture_under_the_same_name_is_refused(stage: Stage) -> None:
    small = await stage.client.record(stage.run_id, _draft(picture(2000)))
    with pytest.raises(AlreadyExists, match="UPLOAD_COMPLETE"):
        await stage.client.record(stage.run_id, _draft(picture(2000, 1)))
    assert await _bytes(stage, small.sequence) == picture(2000)


async def test_what_a_check_refused_is_erased_once_and_stays_told(stage: Stage) -> None:
    await stage.world.record(
        f"{stage.run_id.name}/uploads/output-1", picture(5000), of=entity(output_index=1)
    )
    [made] = (await stage.client.get_run(stage.run_id)).entities
    assert (made.output_index, made.type) == (1, "output_image")
    for _ in range(2):
        await stage.client.erase(stage.run_id, made.sequence, "SAFETY_BLOCKED")
    with pytest.raises(FailedPrecondition, match="ENTITY_ERASED"):
        await _bytes(stage, made.sequence)


async def test_a_warning_is_a_fact_of_the_run(stage: Stage) -> None:
    warning = RenderWarning("DEADLINE_NEAR", "most of the time\nis used up")
    for _ in range(2):
        await stage.client.warn(stage.run_id, 1, warning)
    run: run_pb2.Run = await stage.world.get(stage.run_id.name)
    assert run.last_event_seq == 2
