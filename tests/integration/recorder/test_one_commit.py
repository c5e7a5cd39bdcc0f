"""Facts that belong together: recorded in one commit, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import ArtlabError
from tests.integration.recorder.harness import World, entity, metadata_of, picture

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
