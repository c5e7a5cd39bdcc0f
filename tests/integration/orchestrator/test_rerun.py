"""Runs that go on from another one, through the real protocol and a real recorder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from artlab.common.v1 import common_pb2
from artlab.orchestrator.v1 import orchestrator_pb2 as pb
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc
from services.kit.clock import SystemClock
from services.kit.ids import RunId
from services.orchestrator.domain.plan import make_plan
from services.orchestrator.domain.plan_document import plan_document, plan_of
from services.orchestrator.domain.run import Level, RecordedEntity
from services.orchestrator.rerun import Reruns
from services.orchestrator.translate import run_request
from tests.support.eventually import eventually
from tests.support.people_world import DADA, PeopleWorld, people_world
from tests.support.pictures import picture_of
from tests.support.rpc import refused

CHECKED: frozenset[Level] = frozenset({"kids", "youth"})


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PeopleWorld]:
    async with people_world(tmp_path) as made:
        yield made


async def _parent(world: PeopleWorld, **fields: object) -> RunId:
    run_id = await world.start(seed=7, context="nur Dreiecke", **fields)
    assert (await world.ended(run_id)).state == "succeeded"
    world.safety.asked.clear()
    world.interception.asked.clear()
    return run_id


async def _types(world: PeopleWorld, run_id: RunId) -> list[str]:
    return [one.type for one in (await world.run(run_id)).entities]


def _source(entity: RecordedEntity) -> str | None:
    return entity.metadata.get("copied_from")


async def test_the_interception_is_done_anew_from_what_was_translated(world: PeopleWorld) -> None:
    parent = await _parent(world)
    world.interception.write = lambda config, text, number: f"{text} anders"
    child = await world.rerun(parent, 2)
    ended = await world.ended(child)
    assert ended.state == "succeeded"
    # The translation is taken over, and only the recipe is asked.
    assert [config for config, *_ in world.interception.asked] == ["dada"]
    assert world.prompts(child) == {1: "Eine Blume anders"}
    assert (ended.parent, ended.parent_sequence) == (parent, 3)
    assert await _types(world, child) == await _types(world, parent)
    copies = {one.type: _source(one) for one in ended.entities if _source(one)}
    assert copies == {
        "input": f"{parent.name}/entities/1",
        "context": f"{parent.name}/entities/2",
        "translation": f"{parent.name}/entities/3",
    }


@pytest.mark.parametrize("stage", [3, 4])
async def test_outputs_are_made_anew_of_the_same_text(world: PeopleWorld, stage: int) -> None:
    parent = await _parent(world)
    child = await world.rerun(parent, stage, output_configs=["two", "one"], seed=99)
    ended = await world.ended(child)
    assert ended.state == "succeeded"
    assert world.interception.asked == []
    assert world.prompts(child) == {1: "Eine Blume+1", 2: "Eine Blume+1"}
    assert [output.config for output in ended.outputs] == ["two", "one"]
    assert ended.seed == 99
    jobs = {job.output.index: job for job in world.media.jobs if job.run_id == child}
    assert [jobs[index].output.seed for index in (1, 2)] == [99, 99]
    [interception] = await world.entities(child, "interception")
    [original] = await world.entities(parent, "interception")
    assert interception.sha256 == original.sha256
    assert _source(interception) == f"{parent.name}/entities/{original.sequence}"
    assert ended.parent_sequence == original.sequence


async def test_stage_1_is_checked_anew_under_the_level_in_force(world: PeopleWorld) -> None:
    parent = await _parent(world)
    child = await world.rerun(parent, 3, safety_level=common_pb2.SAFETY_LEVEL_KIDS)
    ended = await world.ended(child)
    assert (ended.state, ended.level) == ("succeeded", "kids")
    purposes = [purpose for purpose, _ in world.safety.asked]
    assert purposes == ["input", "context", "context", "media_prompt"]


async def test_a_text_that_was_fine_and_is_not_any_more_blocks(world: PeopleWorld) -> None:
    parent = await _parent(world)
    world.safety.forbidden = ("blume",)
    child = await world.rerun(parent, 4)
    ended = await world.ended(child)
    assert ended.state == "blocked"
    assert ended.error is not None
    assert ended.error.stage == 1
    assert world.prompts(child) == {}


async def test_a_copied_translation_is_checked_like_a_new_one(world: PeopleWorld) -> None:
    world.interception.translate = lambda text: "a flower"
    parent = await _parent(world)
    world.safety.forbidden_of = {"translation": ("flower",)}
    child = await world.rerun(parent, 2)
    ended = await world.ended(child)
    assert ended.state == "blocked"
    assert ("translation", "a flower") in world.safety.asked
    assert world.interception.asked == []


async def test_a_text_of_ones_own_takes_the_place_of_the_intercepted_one(
    world: PeopleWorld,
) -> None:
    parent = await _parent(world)
    child = await world.rerun(parent, 3, "Ein Baum aus Dreiecken")
    assert (await world.ended(child)).state == "succeeded"
    assert world.prompts(child) == {1: "Ein Baum aus Dreiecken"}
    assert ("media_prompt", "Ein Baum aus Dreiecken") in world.safety.asked
    [interception] = await world.entities(child, "interception")
    assert await world.text(child, interception) == "Ein Baum aus Dreiecken"
    assert _source(interception) is None
    assert interception.metadata["edited"] == "true"
    refused_text = await world.rerun(parent, 3, "verboten")
    assert (await world.ended(refused_text)).state == "blocked"
    assert world.prompts(refused_text) == {}


async def test_the_text_a_person_changed_is_the_one_that_is_gone_on_with(
    world: PeopleWorld,
) -> None:
    parent = await world.start(pause_before_render=True)
    question = await world.asked(parent)
    await world.answer(parent, question, pb.DECISION_EDIT, "Ein Haus")
    await world.ended(parent)
    child = await world.rerun(parent, 3)
    assert (await world.ended(child)).state == "succeeded"
    assert world.prompts(child) == {1: "Ein Haus"}
    [decision] = await world.entities(parent, "decision")
    [interception] = await world.entities(child, "interception")
    assert _source(interception) == f"{parent.name}/entities/{decision.sequence}"


async def test_what_goes_on_may_ask_the_person_again(world: PeopleWorld) -> None:
    parent = await _parent(world)
    child = await world.rerun(parent, 3, pause_before_render=True)
    question = await world.asked(child)
    assert (await world.document(child, "question"))["text"] == "Eine Blume+1"
    assert [one.stage for one in await world.entities(child, "question")] == [2]
    await world.answer(child, question, pb.DECISION_EDIT, "verboten")
    ended = await world.ended(child)
    assert ended.state == "blocked"
    assert ended.error is not None
    assert ended.error.stage == 2
    # It went wrong with what the person wrote; the text before is as good as it was.
    grandchild = await world.rerun(child, 3)
    assert (await world.ended(grandchild)).state == "succeeded"
    assert world.prompts(grandchild) == {1: "Eine Blume+1"}


async def test_one_may_go_on_from_a_run_that_goes_on_from_another(world: PeopleWorld) -> None:
    first = await _parent(world)
    second = await world.rerun(first, 3, "Ein Baum")
    await world.ended(second)
    third = await world.rerun(second, 4, output_configs=["two"])
    ended = await world.ended(third)
    assert (ended.state, ended.parent) == ("succeeded", second)
    assert world.prompts(third) == {1: "Ein Baum"}


async def test_one_may_go_on_from_a_run_that_still_waits(world: PeopleWorld) -> None:
    parent = await world.start(pause_before_render=True)
    await world.asked(parent)
    child = await world.rerun(parent, 3)
    assert (await world.ended(child)).state == "succeeded"
    async with refused("FAILED_PRECONDITION", "PARENT_INCOMPLETE"):
        await world.rerun(parent, 4)


async def test_pictures_are_taken_over_and_looked_at_again(world: PeopleWorld) -> None:
    picture = picture_of(b"one")
    parent = await world.start(output_configs=["morph"], input_images=1)
    request = pb.AddInputImageRequest(name=parent.name, index=1, data=picture)
    await world.stub.AddInputImage(iter([request]), timeout=20)
    assert (await world.ended(parent)).state == "succeeded"
    world.safety.image_check_levels = CHECKED
    child = await world.rerun(parent, 3)
    assert (await world.ended(child)).state == "succeeded"
    [original] = await world.entities(parent, "input_image")
    [copied] = await world.entities(child, "input_image")
    assert copied.sha256 == original.sha256
    assert _source(copied) == f"{parent.name}/entities/{original.sequence}"
    assert ("input_image", "image/png", picture) in world.safety.looked_at
    [job] = [job for job in world.media.jobs if job.run_id == child]
    assert job.input_images == {"init": copied.sequence}


async def test_a_picture_that_is_refused_now_is_not_taken_over(world: PeopleWorld) -> None:
    parent = await world.start(output_configs=["morph"], input_images=1)
    request = pb.AddInputImageRequest(name=parent.name, index=1, data=picture_of(b"verboten"))
    await world.stub.AddInputImage(iter([request]), timeout=20)
    assert (await world.ended(parent)).state == "succeeded"
    # What nobody looked at then is looked at now.
    world.safety.image_check_levels = CHECKED
    child = await world.rerun(parent, 3)
    ended = await world.ended(child)
    assert ended.state == "blocked"
    assert await world.entities(child, "input_image") == []
    assert world.prompts(child) == {}


async def test_pictures_may_be_brought_anew(world: PeopleWorld) -> None:
    parent = await world.start(output_configs=["morph"], input_images=1)
    first = pb.AddInputImageRequest(name=parent.name, index=1, data=picture_of(b"one"))
    await world.stub.AddInputImage(iter([first]), timeout=20)
    await world.ended(parent)
    child = await world.rerun(parent, 3, input_images=1)
    second = pb.AddInputImageRequest(name=child.name, index=1, data=picture_of(b"two"))
    await world.stub.AddInputImage(iter([second]), timeout=20)
    assert (await world.ended(child)).state == "succeeded"
    [image] = await world.entities(child, "input_image")
    assert _source(image) is None


async def test_somebody_elses_run_is_not_there(world: PeopleWorld) -> None:
    parent = await _parent(world)
    for name, user in ((parent, "ben"), (RunId.new(), "anna")):
        async with refused("NOT_FOUND", "PARENT_NOT_FOUND", "rerun.parent"):
            await world.rerun(name, 2, user_id=user)


async def test_a_run_that_did_not_come_as_far_is_not_gone_on_from(world: PeopleWorld) -> None:
    blocked = await world.start(input_text="verboten")
    assert (await world.ended(blocked)).state == "blocked"
    for stage in (2, 3, 4):
        async with refused("FAILED_PRECONDITION", "PARENT_INCOMPLETE"):
            await world.rerun(blocked, stage)


async def test_a_run_that_was_recorded_without_a_plan_is_not_gone_on_from(
    world: PeopleWorld,
) -> None:
    name = await world.world.create(user_id="anna")
    await world.world.record(f"{name}/uploads/input", b"Eine Blume")
    async with refused("FAILED_PRECONDITION", "PARENT_INCOMPLETE") as seen:
        await world.rerun(RunId.parse_name(name), 2)
    assert "PLAN_MISSING" in seen.message


async def test_a_deleted_parent_leaves_what_went_on_from_it_whole(world: PeopleWorld) -> None:
    parent = await _parent(world)
    child = await world.rerun(parent, 3)
    await world.ended(child)
    stub = recorder_pb2_grpc.RecorderServiceStub(world.channel)
    await stub.DeleteRun(recorder_pb2.DeleteRunRequest(name=parent.name), timeout=10)
    async with refused("NOT_FOUND", "PARENT_NOT_FOUND"):
        await world.rerun(parent, 3)
    grandchild = await world.rerun(child, 3)
    assert (await world.ended(grandchild)).state == "succeeded"


async def test_a_run_in_line_is_found_again_when_its_parent_is_gone(world: PeopleWorld) -> None:
    parent = await _parent(world)
    made = len(world.media.jobs)
    world.media.gate.clear()
    for _ in range(4):
        await world.start()
    await eventually(lambda: len(world.media.jobs) == made + 4, what="every seat taken")
    child = await world.rerun(parent, 3)
    assert (await world.run(child)).state == "pending"
    stub = recorder_pb2_grpc.RecorderServiceStub(world.channel)
    await stub.DeleteRun(recorder_pb2.DeleteRunRequest(name=parent.name), timeout=10)
    await world.rerun(parent, 3, request_id=str(child))
    world.media.gate.set()
    assert (await world.ended(child)).state == "succeeded"


async def test_the_same_request_again_is_the_same_run(world: PeopleWorld) -> None:
    parent = await _parent(world)
    child = await world.rerun(parent, 3, "Ein Baum")
    await world.rerun(parent, 3, "Ein Baum", request_id=str(child))
    for stage, text in ((4, "Ein Baum"), (3, "Ein Haus"), (3, "")):
        async with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
            await world.rerun(parent, stage, text, request_id=str(child))
    async with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
        await world.start(request_id=str(child))
    async with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
        await world.rerun(parent, 3, "Ein Baum", request_id=str(child), pause_before_render=True)


async def test_a_start_that_was_cut_is_completed_by_the_same_request(world: PeopleWorld) -> None:
    parent, child = await _parent(world), RunId.new()
    request = pb.StartRunRequest(request_id=str(child), user_id="anna")
    request.rerun.CopyFrom(pb.Rerun(parent=parent.name, from_stage=3, text="Ein Baum"))
    asked = run_request(request)
    assert asked.rerun is not None
    going_on = await Reruns(world.recorder, SystemClock(), 0.0).resolve(asked, asked.rerun)
    plan = make_plan(
        going_on.request,
        DADA,
        await world.media.catalogue(),
        await world.safety.policy(),
        world.pipelines,
        going_on.lineage,
    )
    # The process that created the run is gone before it recorded anything.
    until = datetime.now(UTC) + timedelta(hours=1)
    await world.recorder.create_run(plan, plan_document(plan), until)
    await world.rerun(parent, 3, "Ein Baum", request_id=str(child))
    assert (await world.ended(child)).state == "succeeded"
    assert world.prompts(child) == {1: "Ein Baum"}


async def test_what_the_record_says_is_enough_to_drive_it(world: PeopleWorld) -> None:
    parent = await _parent(world)
    child = await world.rerun(parent, 3, "Ein Baum", seed=5)
    run = await world.ended(child)
    plan = plan_of(run.plan, "Eine Blume", "nur Dreiecke")
    assert plan.lineage is not None
    assert plan.request.rerun is not None
    assert (plan.lineage.parent, plan.lineage.from_stage, plan.seed) == (parent, 3, 5)
    assert plan.expected_entities == run.expected_entities
    assert "Ein Baum" not in run.plan


async def test_what_was_decided_before_is_refused_with_the_field(world: PeopleWorld) -> None:
    parent = await _parent(world)
    async with refused("INVALID_ARGUMENT", "CHANGE_TOO_LATE", "input_text"):
        await world.rerun(parent, 3, input_text="Ein Haus")
    child = await world.rerun(parent, 2, input_text="Ein Haus")
    assert (await world.ended(child)).state == "succeeded"
    assert world.prompts(child) == {1: "Ein Haus+1"}
    [translation] = await world.entities(child, "translation")
    assert _source(translation) is None
