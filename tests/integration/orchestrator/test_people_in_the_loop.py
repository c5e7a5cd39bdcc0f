"""Runs that ask a person: parked, answered, and gone on with, through the real protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from artlab.orchestrator.v1 import orchestrator_pb2 as pb
from services.kit.clock import SystemClock
from services.kit.ids import RunId
from services.orchestrator.decisions import Answer, Decisions
from tests.support.eventually import eventually
from tests.support.people_world import PeopleWorld, asking, asking_of_each, people_world
from tests.support.rpc import refused

APPROVE, EDIT, REJECT = pb.DECISION_APPROVE, pb.DECISION_EDIT, pb.DECISION_REJECT


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PeopleWorld]:
    async with people_world(tmp_path) as made:
        yield made


async def test_a_person_sees_the_text_before_anything_is_made_of_it(world: PeopleWorld) -> None:
    run_id = await world.start(pause_before_render=True)
    question = await world.asked(run_id)
    asked = await world.document(run_id, "question")
    assert (asked["step"], asked["kind"], asked["who"]) == ("question", "edit", "person")
    assert asked["text"] == "Eine Blume+1"
    assert (asked["output_index"], asked["on_timeout"]) == (0, "approve")
    run = await world.run(run_id)
    assert (run.state, run.open_questions) == ("running", (question,))
    assert not world.media.jobs
    answer = await world.answer(run_id, question, APPROVE)
    assert list(answer.run.open_questions) == []
    ended = await world.ended(run_id)
    assert ended.state == "succeeded"
    assert world.prompts(run_id) == {1: "Eine Blume+1"}
    assert [one.type for one in ended.entities] == list(ended.expected_entities)


async def test_an_edited_text_is_checked_and_made(world: PeopleWorld) -> None:
    run_id = await world.start(pause_before_render=True, context="nur Dreiecke")
    question = await world.asked(run_id)
    await world.answer(run_id, question, EDIT, "Ein Baum")
    assert (await world.ended(run_id)).state == "succeeded"
    assert world.prompts(run_id) == {1: "Ein Baum"}
    for purpose, text in (
        ("interception", "Ein Baum"),
        ("context", "nur Dreiecke\nEin Baum"),
        ("media_prompt", "Ein Baum"),
    ):
        assert (purpose, text) in world.safety.asked
    assert await world.document(run_id, "decision") == {
        "question": question,
        "decision": "edit",
        "text": "Ein Baum",
        "by": "person",
    }
    [first, second] = await world.entities(run_id, "safety")
    assert first.stage == 1
    assert second.metadata["question"] == str(question)


async def test_an_edited_text_that_is_refused_reaches_no_renderer(world: PeopleWorld) -> None:
    run_id = await world.start(pause_before_render=True)
    question = await world.asked(run_id)
    await world.answer(run_id, question, EDIT, "verboten")
    ended = await world.ended(run_id)
    assert ended.state == "blocked"
    assert ended.error is not None
    assert (ended.error.reason, ended.error.message) == ("SAFETY_BLOCKED", "youth.test")
    assert not world.media.jobs
    explanation = await world.document(run_id, "explanation")
    assert explanation["explanation"] == "Das geht hier nicht."


async def test_a_no_of_a_person_blocks_and_is_explained(world: PeopleWorld) -> None:
    run_id = await world.start(pause_before_render=True)
    await world.answer(run_id, await world.asked(run_id), REJECT)
    ended = await world.ended(run_id)
    assert ended.state == "blocked"
    assert ended.error is not None
    assert ended.error.message == "rejected by a person"
    assert [output.state for output in ended.outputs] == ["blocked"]
    assert not world.media.jobs
    explanation = await world.document(run_id, "explanation")
    assert (explanation["rule"], explanation["language"]) == ("rejected by a person", "de")


@pytest.mark.parametrize(
    ("on_timeout", "state", "message"),
    [
        ("approve", "succeeded", None),
        ("reject", "blocked", "nobody answered in time"),
        ("fail", "failed", "nobody answered in time: question"),
    ],
)
async def test_silence_is_decided_as_the_file_says(
    world: PeopleWorld, on_timeout: str, state: str, message: str | None
) -> None:
    world.pipelines["asking"] = asking("approve", "person", 1, on_timeout)
    run_id = await world.start(pipeline="asking")
    question = await world.asked(run_id)
    ended = await world.ended(run_id)
    assert ended.state == state
    assert (ended.error.message if ended.error else None) == message
    if on_timeout == "fail":
        assert ended.error is not None
        assert (ended.error.reason, ended.error.retryable) == ("QUESTION_NOT_ANSWERED", True)
    decision = await world.document(run_id, "decision")
    said = {"approve": "approve", "reject": "reject", "fail": "nothing"}[on_timeout]
    assert decision == {"question": question, "decision": said, "by": "deadline"}
    late = EDIT if on_timeout == "approve" else APPROVE
    async with refused(
        "INVALID_ARGUMENT" if late == EDIT else "ALREADY_EXISTS",
        "TEXT_NOT_EXPECTED" if late == EDIT else "ALREADY_DECIDED",
    ):
        await world.answer(run_id, question, late, "x" if late == EDIT else "")


async def test_only_a_teacher_answers_what_a_teacher_is_asked(world: PeopleWorld) -> None:
    world.pipelines["asking"] = asking("approve", "teacher", 600, "reject")
    run_id = await world.start(pipeline="asking")
    question = await world.asked(run_id)
    async with refused("PERMISSION_DENIED", "DECISION_NOT_YOURS"):
        await world.answer(run_id, question, APPROVE)
    assert (await world.run(run_id)).open_questions == (question,)
    await world.answer(run_id, question, APPROVE, user_id="teacher-1", is_teacher=True)
    assert (await world.ended(run_id)).state == "succeeded"
    [decision] = await world.entities(run_id, "decision")
    assert decision.metadata["decided_by"] == "teacher-1"
    assert (await world.document(run_id, "decision"))["by"] == "teacher"


async def test_another_pupil_answers_nothing(world: PeopleWorld) -> None:
    run_id = await world.start(pause_before_render=True)
    question = await world.asked(run_id)
    async with refused("PERMISSION_DENIED", "DECISION_NOT_YOURS"):
        await world.answer(run_id, question, REJECT, user_id="ben")
    await world.answer(run_id, question, APPROVE)
    assert (await world.ended(run_id)).state == "succeeded"


async def test_the_same_answer_again_changes_nothing_and_another_one_is_refused(
    world: PeopleWorld,
) -> None:
    run_id = await world.start(pause_before_render=True)
    question = await world.asked(run_id)
    await world.answer(run_id, question, EDIT, "Ein Baum")
    await world.answer(run_id, question, EDIT, "Ein Baum")
    for decision, text in ((EDIT, "Ein Haus"), (APPROVE, ""), (REJECT, "")):
        async with refused("ALREADY_EXISTS", "ALREADY_DECIDED"):
            await world.answer(run_id, question, decision, text)
    await world.ended(run_id)
    await world.answer(run_id, question, EDIT, "Ein Baum")
    assert len(await world.entities(run_id, "decision")) == 1
    assert world.prompts(run_id) == {1: "Ein Baum"}


async def test_an_answer_that_is_said_again_wakes_nobody(world: PeopleWorld) -> None:
    run_id = await world.start(pause_before_render=True)
    question = await world.asked(run_id)
    woken = []

    async def wake(run_id: RunId, user_id: str) -> None:
        woken.append((run_id, user_id))

    decisions = Decisions(world.recorder, wake, SystemClock())
    answer = Answer(run_id, question, "approve", "", "anna", is_teacher=False)
    for _ in range(3):
        await decisions.take(answer)
    assert woken == [(run_id, "anna")]
    assert (await world.ended(run_id)).state == "succeeded"


async def test_of_many_answers_at_once_one_counts(world: PeopleWorld) -> None:
    run_id = await world.start(pause_before_render=True)
    question = await world.asked(run_id)
    texts = [f"Text {number}" for number in range(8)]
    answers = await asyncio.gather(
        *(world.answer(run_id, question, EDIT, text) for text in texts), return_exceptions=True
    )
    taken = [
        text
        for text, answer in zip(texts, answers, strict=True)
        if isinstance(answer, pb.ResumeRunResponse)
    ]
    assert len(taken) == 1
    assert (await world.ended(run_id)).state == "succeeded"
    assert world.prompts(run_id) == {1: taken[0]}


async def test_a_cancelled_run_takes_no_answer(world: PeopleWorld) -> None:
    run_id = await world.start(pause_before_render=True)
    question = await world.asked(run_id)
    await world.stub.CancelRun(pb.CancelRunRequest(name=run_id.name), timeout=10)
    run = await world.run(run_id)
    assert (run.state, run.open_questions) == ("cancelled", ())
    async with refused("FAILED_PRECONDITION", "RUN_FINAL"):
        await world.answer(run_id, question, APPROVE)


async def test_a_run_waits_without_an_orchestrator_and_another_one_goes_on(
    world: PeopleWorld,
) -> None:
    run_id = await world.start(pause_before_render=True)
    question = await world.asked(run_id)
    await world.first.leave()
    asked = len(world.interception.asked)
    other = await world.orchestrator()
    assert (await world.run(run_id)).open_questions == (question,)
    await world.answer(run_id, question, EDIT, "Ein Baum", stub=other.stub)
    assert (await world.ended(run_id)).state == "succeeded"
    assert world.prompts(run_id) == {1: "Ein Baum"}
    # What was done is not done again.
    assert len(world.interception.asked) == asked


async def test_an_answer_while_nobody_drives_is_found_by_who_comes(world: PeopleWorld) -> None:
    run_id = await world.start(pause_before_render=True)
    question = await world.asked(run_id)
    await world.first.leave()
    await world.answer(run_id, question, APPROVE)
    await world.orchestrator()
    assert (await world.ended(run_id)).state == "succeeded"


async def test_each_output_may_be_asked_about_and_one_no_leaves_the_others_alone(
    world: PeopleWorld,
) -> None:
    world.pipelines["asking_of_each"] = asking_of_each("teacher")
    run_id = await world.start(pipeline="asking_of_each", output_configs=["one", "two", "one"])

    async def all_asked() -> bool:
        return len((await world.run(run_id)).open_questions) == 3

    await eventually(all_asked, 20.0, "three questions")
    for entity in await world.entities(run_id, "question"):
        about = json.loads(await world.text(run_id, entity))
        assert about["output_index"] == entity.output_index
        said = REJECT if entity.output_index == 2 else APPROVE
        await world.answer(run_id, entity.sequence, said, user_id="teacher-1", is_teacher=True)
    ended = await world.ended(run_id)
    assert ended.state == "partial"
    assert [output.state for output in ended.outputs] == ["succeeded", "blocked", "succeeded"]
    assert sorted(world.prompts(run_id)) == [1, 3]


async def test_an_answer_about_one_output_while_another_one_is_made_is_not_overlooked(
    tmp_path: Path,
) -> None:
    async with people_world(tmp_path, outputs_at_once=3) as world:
        world.pipelines["asking_of_each"] = asking_of_each("teacher")
        # Looking at what was made reads the whole record, the second answer included.
        world.safety.image_check_levels = frozenset({"youth"})
        outputs = ["one", "two", "one"]
        run_id = await world.start(pipeline="asking_of_each", output_configs=outputs)

        async def all_asked() -> bool:
            return len((await world.run(run_id)).open_questions) == 3

        async def approve(question: int) -> None:
            await world.answer(run_id, question, APPROVE, user_id="teacher-1", is_teacher=True)

        await eventually(all_asked, 20.0, "three questions")
        asked = await world.entities(run_id, "question")
        first, second, third = sorted(asked, key=lambda one: one.output_index)
        world.media.gate.clear()
        await approve(first.sequence)
        await eventually(lambda: bool(world.media.jobs), 20.0, "the first output in work")
        # The run is driven now, and the second question is waited with already.
        await approve(second.sequence)
        world.media.gate.set()
        await eventually(lambda: 2 in world.prompts(run_id), 20.0, "the second output in work")
        assert 3 not in world.prompts(run_id)
        await approve(third.sequence)
        assert (await world.ended(run_id)).state == "succeeded"


@pytest.mark.parametrize(("said", "state"), [(APPROVE, "succeeded"), (REJECT, "blocked")])
async def test_a_teacher_sees_what_was_made_before_it_is_shown(
    world: PeopleWorld, said: pb.Decision.ValueType, state: str
) -> None:
    world.pipelines["asking_of_each"] = asking_of_each("teacher", when_made=True)
    run_id = await world.start(pipeline="asking_of_each")
    question = await world.asked(run_id)
    [made] = await world.entities(run_id, "output_image")
    asked = await world.document(run_id, "question")
    assert (asked["sequence"], asked["output_index"]) == (made.sequence, 1)
    assert "text" not in asked
    # Not final, and so not released to anybody but a teacher.
    assert [output.state for output in (await world.run(run_id)).outputs] == ["running"]
    await world.answer(run_id, question, said, user_id="teacher-1", is_teacher=True)
    ended = await world.ended(run_id)
    assert [output.state for output in ended.outputs] == [state]
    assert len(world.media.jobs) == 1


async def test_what_is_no_question_takes_no_answer(world: PeopleWorld) -> None:
    run_id = await world.start(pause_before_render=True)
    question = await world.asked(run_id)
    for sequence in (1, question + 1):
        async with refused("NOT_FOUND", "QUESTION_NOT_FOUND", "question"):
            await world.answer(run_id, sequence, APPROVE)
    async with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        await world.answer(RunId.new(), question, APPROVE)


async def test_pipelines_are_listed_with_a_drawing(world: PeopleWorld) -> None:
    answer = await world.stub.ListPipelines(pb.ListPipelinesRequest(), timeout=10)
    [pipeline] = answer.pipelines
    assert pipeline.name == "four_stages"
    assert pipeline.title["de"] == "Die vier Stufen"
    assert list(pipeline.steps)[:3] == ["input_images", "translation_and_safety", "interception"]
    assert pipeline.mermaid.startswith("flowchart")
