"""Facts that belong together: recorded in one commit, or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import AlreadyExists, ArtlabError, InvalidArgument
from tests.integration.recorder.harness import World, entity, metadata_of, picture, plan

pytestmark = pytest.mark.asyncio
TWO = run_pb2.Progress(stage=2, step="interception")
WHY = run_pb2.RunError(reason="SOME_REASON", message="why")


async def record(world: World, run: str, upload: str, **values: object) -> run_pb2.Entity:
    request = pb.RecordEntityRequest(
        upload=f"{run}/uploads/{upload}",
        entity=entity("input"),
        data=b"Blume",
        **values,  # type: ignore[arg-type]
    )
    answer = await world.call("RecordEntity", request)
    assert isinstance(answer, pb.RecordEntityResponse)
    return answer.entity


def kinds(document: Mapping[str, Any]) -> list[str]:
    return [event["kind"] for event in document["events"]]


async def test_an_entity_and_the_stage_that_follows_it(disk: World) -> None:
    run = await disk.create()
    before = (disk.folder(run) / "metadata.json").stat().st_ino
    await record(disk, run, "a", progress=TWO)
    assert (disk.folder(run) / "metadata.json").stat().st_ino != before
    now = await disk.get(run)
    assert now.state == run_pb2.RUN_STATE_RUNNING
    assert (now.progress.stage, now.progress.step) == (2, "interception")
    # In this order: the stage begins because the entity is there.
    told = kinds(metadata_of(disk, run))
    assert told == ["state_changed", "entity_committed", "state_changed", "stage_started"]


def new(upload_id: str, data: bytes = b"Blume") -> pb.NewEntity:
    return pb.NewEntity(upload_id=upload_id, entity=entity("input"), data=data)


async def record_all(world: World, run: str, *entities: pb.NewEntity) -> list[run_pb2.Entity]:
    request = pb.RecordEntitiesRequest(name=run, entities=entities, progress=TWO)
    answer = await world.call("RecordEntities", request)
    assert isinstance(answer, pb.RecordEntitiesResponse)
    return list(answer.entities)


async def test_entities_of_one_call_are_numbered_in_its_order(disk: World) -> None:
    run = await disk.create()
    before = (disk.folder(run) / "metadata.json").stat().st_ino
    found = await record_all(disk, run, new("b", b"one"), new("a", b"two"))
    assert [one.filename for one in found] == ["01_input.txt", "02_input.txt"]
    assert (disk.folder(run) / "02_input.txt").read_bytes() == b"two"
    assert (disk.folder(run) / "metadata.json").stat().st_ino != before
    assert kinds(metadata_of(disk, run)) == [
        "state_changed",
        "entity_committed",
        "entity_committed",
        "state_changed",
        "stage_started",
    ]


async def test_what_is_there_already_stays_and_the_rest_comes(world: World) -> None:
    run = await world.create()
    there = await record(world, run, "a")
    first, second = await record_all(world, run, new("a"), new("b"))
    assert first == there
    assert second.sequence == 2
    assert await record_all(world, run, new("a"), new("b")) == [first, second]
    assert len((await world.get(run)).entities) == 2


@pytest.mark.parametrize(
    ("entities", "field"),
    [
        ([], "entities"),
        ([new("x")] * 17, "entities"),
        ([new("a"), new("a")], "entities[1].upload_id"),
        ([new("a"), new("B")], "entities[1].upload_id"),
        ([new("a"), new("b", b"")], "entities[1].data"),
        ([new("a", bytes(2**20)), new("b", bytes(2**20)), new("c")], "entities"),
        ([new("a"), pb.NewEntity(upload_id="b", data=b"x")], "entities[1].entity"),
    ],
)
async def test_of_what_cannot_be_all_nothing_is_recorded(
    world: World, entities: list[pb.NewEntity], field: str
) -> None:
    run = await world.create()
    with pytest.raises(InvalidArgument) as caught:
        await record_all(world, run, *entities)
    assert caught.value.field == field
    assert not (await world.get(run)).entities


async def test_one_that_is_no_text_keeps_the_others_out(world: World) -> None:
    run = await world.create()
    with pytest.raises(ArtlabError):
        await record_all(world, run, new("a"), new("b", b"\xff\x00"))
    assert not (await world.get(run)).entities


async def test_a_run_is_created_with_its_first_entities(disk: World) -> None:
    request = pb.CreateRunRequest(
        request_id=str(uuid.uuid4()), run=plan(), entities=[new("input", b"one"), new("context")]
    )
    created = await disk.call("CreateRun", request)
    again = await disk.call("CreateRun", request)
    assert isinstance(created, pb.CreateRunResponse)
    assert created == again
    run = created.run.name
    assert [one.sequence for one in created.run.entities] == [1, 2]
    assert (disk.folder(run) / "01_input.txt").read_bytes() == b"one"
    assert kinds(metadata_of(disk, run)) == ["state_changed", *["entity_committed"] * 2]
    assert [one.name for one in disk.folder(run).parent.glob(".*.new")] == []
    # One that was made without them, as before there were any, gets what it lacks.
    request.entities.append(new("more"))
    found = await disk.call("CreateRun", request)
    assert isinstance(found, pb.CreateRunResponse)
    assert len(found.run.entities) == 3
    request.entities[0].data = b"another"
    with pytest.raises(AlreadyExists, match="UPLOAD_COMPLETE"):
        await disk.call("CreateRun", request)


async def test_recorded_again_it_does_not_move_the_run_back(world: World) -> None:
    run = await world.create()
    first = await record(world, run, "a", progress=TWO)
    await record(world, run, "b", progress=run_pb2.Progress(stage=3, step="next", output_index=1))
    assert await record(world, run, "a", progress=TWO) == first
    now = await world.get(run)
    assert (now.progress.stage, now.progress.output_index) == (3, 1)
    assert len(now.entities) == 2


async def test_a_position_that_cannot_be_records_nothing(world: World) -> None:
    run = await world.create()
    for bad, field in [
        (run_pb2.Progress(stage=5, step="x"), "progress.stage"),
        (run_pb2.Progress(stage=1), "progress.step"),
        (run_pb2.Progress(stage=1, step="x", output_index=17), "progress.output_index"),
        (run_pb2.Progress(stage=3, step="x", output_index=2), "output_index"),
    ]:
        with pytest.raises(ArtlabError) as refused:
            await record(world, run, "a", progress=bad)
        assert refused.value.field == field
    now = await world.get(run)
    assert (now.state, len(now.entities)) == (run_pb2.RUN_STATE_PENDING, 0)


async def test_the_last_outputs_end_with_their_run(world: World) -> None:
    outputs = [
        run_pb2.Output(
            index=n, occurrence=n, output_config="builtin_image", kind=common_pb2.MEDIA_KIND_IMAGE
        )
        for n in (1, 2)
    ]
    run = await world.create(outputs=outputs)
    await world.record(f"{run}/uploads/o", picture(100), entity("output_image", output_index=1))
    request = pb.FinalizeRunRequest(
        name=run,
        state=run_pb2.RUN_STATE_PARTIAL,
        outputs=[
            run_pb2.Output(index=1, state=run_pb2.RUN_STATE_SUCCEEDED),
            run_pb2.Output(index=2, state=run_pb2.RUN_STATE_FAILED, error=WHY),
        ],
    )
    ended = (await world.call("FinalizeRun", request)).run
    assert ended.state == run_pb2.RUN_STATE_PARTIAL
    assert [one.state for one in ended.outputs] == [
        run_pb2.RUN_STATE_SUCCEEDED,
        run_pb2.RUN_STATE_FAILED,
    ]
    assert (await world.call("FinalizeRun", request)).run == ended


async def test_what_does_not_add_up_ends_nothing(world: World) -> None:
    run = await world.create()
    succeeded = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_SUCCEEDED)
    failed = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_FAILED, error=WHY)
    for outputs, reason in [([succeeded], "OUTPUT_HAS_NO_ENTITY"), ([failed], "OUTPUTS_DISAGREE")]:
        with pytest.raises(ArtlabError) as refused:
            await world.call(
                "FinalizeRun",
                pb.FinalizeRunRequest(name=run, state=run_pb2.RUN_STATE_SUCCEEDED, outputs=outputs),
            )
        assert refused.value.reason == reason
    now = await world.get(run)
    assert now.outputs[0].state == run_pb2.RUN_STATE_PENDING


async def test_an_output_that_is_final_stays_as_it_is(world: World) -> None:
    run = await world.create()
    failed = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_FAILED, error=WHY)
    await world.call("FinalizeOutput", pb.FinalizeOutputRequest(name=run, output=failed))
    cancelled = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_CANCELLED)
    request = pb.FinalizeRunRequest(
        name=run, state=run_pb2.RUN_STATE_CANCELLED, outputs=[cancelled]
    )
    ended = (await world.call("FinalizeRun", request)).run
    assert ended.outputs[0].state == run_pb2.RUN_STATE_FAILED
