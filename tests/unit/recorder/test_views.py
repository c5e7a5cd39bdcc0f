"""What students, the advanced and research see of one run."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.kit.errors import NotFound, PermissionDenied
from services.kit.ids import RunId
from services.recorder.domain.entity import EntityDraft, ModelUse
from services.recorder.domain.erasure import with_erased
from services.recorder.domain.events import StateChanged
from services.recorder.domain.outcome import Output, RunError
from services.recorder.domain.plan import Plan
from services.recorder.domain.run import Run
from services.recorder.domain.views import view
from services.recorder.domain.vocabulary import (
    Audience,
    EntityType,
    ExecutionMode,
    MediaKind,
    RunState,
    SafetyLevel,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN_ID = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")
WHY = RunError("COMFY_LOST", "http://10.0.0.5:8188 forgot the job", 4, True)
WRITER = ModelUse("interception", "builtin", "cut_up")
JUDGE = ModelUse("safety", "openai", "llama-guard3")
PAINTER = ModelUse("media", "comfyui", "sd35")

S, A, R = Audience.STUDENT, Audience.ADVANCED, Audience.RESEARCH
T = EntityType


def new_run(*kinds: MediaKind) -> Run:
    plan = Plan(
        config_name="dada",
        safety_level=SafetyLevel.YOUTH,
        user_id="u",
        deadline=None,
        outputs=tuple(
            Output(index, "a", index, kind)
            for index, kind in enumerate(kinds or (MediaKind.IMAGE,), start=1)
        ),
        expected_entities=(),
        execution_mode=ExecutionMode.ECO,
        seed=1,
    )
    return Run.create(RUN_ID, plan, NOW, NOW + timedelta(hours=1))


def add(
    run: Run,
    entity_type: EntityType,
    audience: Audience,
    *,
    output: int = 0,
    models: tuple[ModelUse, ...] = (),
) -> Run:
    draft = EntityDraft(
        entity_type, output, {"prompt_id": "p1"}, 0, 0, None, None, 1, audience, models
    )
    entity = run.next_entity(
        draft,
        f"u{len(run.entities)}",
        media_type="text/plain",
        size_bytes=1,
        sha256=hashlib.sha256(b"x").hexdigest(),
        now=NOW,
    )
    return run.with_entity(entity)


def through_stage_2(run: Run) -> Run:
    run = run.at(1, "translation_and_safety", 0, NOW)
    run = add(run, T.INPUT, S)
    run = add(run, T.TRANSLATION, A)
    run = add(run, T.SAFETY, R, models=(JUDGE,))
    run = run.at(2, "interception", 0, NOW)
    return add(run, T.INTERCEPTION, S, models=(WRITER,))


def through_stage_3(run: Run, output: int = 1) -> Run:
    run = run.at(3, "pre_output_safety", output, NOW)
    return add(run, T.SAFETY_PRE_OUTPUT, R, output=output, models=(JUDGE,))


def through_stage_4(run: Run, output: int = 1) -> Run:
    run = run.at(4, "media_generation", output, NOW)
    return add(run, T.OUTPUT_IMAGE, S, output=output, models=(PAINTER,))


def types(run: Run, audience: Audience) -> list[str]:
    return [one.type.value for one in view(run, audience).entities]


def test_audiences_include_those_before_them() -> None:
    assert [S.includes(one) for one in (S, A, R)] == [True, False, False]
    assert [A.includes(one) for one in (S, A, R)] == [True, True, False]
    assert [R.includes(one) for one in (S, A, R)] == [True, True, True]


def test_a_finished_run_shows_each_audience_what_is_theirs() -> None:
    run = through_stage_4(through_stage_3(through_stage_2(new_run())))
    run = run.with_final_output(1, RunState.SUCCEEDED, None, NOW)
    run = run.finalized(RunState.SUCCEEDED, None, NOW)

    assert types(run, S) == ["input", "interception", "output_image"]
    assert types(run, A) == ["input", "translation", "interception", "output_image"]
    assert types(run, R) == [one.type.value for one in run.entities]
    assert [one.sequence for one in view(run, S).entities] == [1, 4, 6]


def test_an_entity_above_the_audience_is_refused_and_a_missing_one_is_not_found() -> None:
    run = through_stage_2(new_run())
    with pytest.raises(PermissionDenied) as caught:
        view(run, A).entity(3)
    assert caught.value.reason == "AUDIENCE_TOO_LOW"
    with pytest.raises(NotFound):
        view(run, S).entity(99)
    assert view(run, R).entity(3).type is T.SAFETY


def test_a_student_gets_the_written_text_only_once_a_check_let_it_through() -> None:
    run = through_stage_2(new_run())
    assert "interception" not in types(run, S)
    assert "interception" in types(run, A)
    run = through_stage_3(run)
    # The verdict is recorded, but not what it says: the pipeline has not gone on yet.
    assert "interception" not in types(run, S)
    run = run.at(4, "media_generation", 1, NOW)
    assert "interception" in types(run, S)


def test_a_run_that_dies_right_after_a_blocking_verdict_shows_students_no_text() -> None:
    run = through_stage_3(through_stage_2(new_run()))
    run = run.finalized(RunState.FAILED, WHY, NOW)
    assert types(run, S) == ["input"]


def test_a_text_stays_when_its_picture_failed() -> None:
    run = through_stage_3(through_stage_2(new_run())).at(4, "media_generation", 1, NOW)
    run = run.with_final_output(1, RunState.FAILED, WHY, NOW).finalized(RunState.FAILED, WHY, NOW)
    assert types(run, S) == ["input", "interception"]


@pytest.mark.parametrize("audience", [S, A])
def test_a_refused_text_is_for_research(audience: Audience) -> None:
    run = through_stage_3(through_stage_2(new_run()))
    run = run.with_final_output(1, RunState.BLOCKED, WHY, NOW)
    assert types(run, audience) == ["input"]
    assert "interception" in types(run, R)


def test_a_text_that_one_check_of_two_let_through_stays() -> None:
    run = through_stage_3(through_stage_2(new_run(MediaKind.IMAGE, MediaKind.IMAGE)))
    run = run.with_final_output(1, RunState.BLOCKED, WHY, NOW)
    run = through_stage_4(through_stage_3(run, 2), 2)
    run = run.with_final_output(2, RunState.SUCCEEDED, None, NOW)
    assert types(run, S) == ["input", "interception", "output_image"]


def test_a_text_refused_as_text_is_gone_even_where_a_picture_succeeded() -> None:
    run = through_stage_4(
        through_stage_3(through_stage_2(new_run(MediaKind.IMAGE, MediaKind.TEXT)))
    )
    run = run.with_final_output(1, RunState.SUCCEEDED, None, NOW)
    assert "interception" in types(run, S)
    run = run.with_final_output(2, RunState.BLOCKED, WHY, NOW)
    assert types(run, A) == ["input", "output_image"]


@pytest.mark.parametrize(
    "end", [None, RunState.FAILED, RunState.BLOCKED, RunState.CANCELLED, RunState.NOT_AVAILABLE]
)
@pytest.mark.parametrize("audience", [S, A])
def test_bytes_of_an_output_that_has_not_succeeded_are_for_research(
    audience: Audience, end: RunState | None
) -> None:
    run = through_stage_4(through_stage_3(through_stage_2(new_run())))
    if end is not None:
        run = run.with_final_output(1, end, WHY, NOW)
    picture = run.entities[-1]
    assert not view(run, audience).may_see(picture)
    assert view(run, audience).least_audience(picture) is R
    assert view(run, R).may_see(picture)


def test_every_file_of_an_output_is_seen_once_it_succeeded_and_none_before() -> None:
    run = through_stage_3(through_stage_2(new_run(MediaKind.IMAGE, MediaKind.IMAGE)))
    for _ in range(3):
        run = through_stage_4(run)
    run = add(run, T.SAFETY_IMAGE, R, output=1, models=(JUDGE,))
    run = add(run, T.OUTPUT_IMAGE, S, output=2)
    assert types(run, S) == ["input", "interception"]
    run = run.with_final_output(1, RunState.SUCCEEDED, None, NOW)
    assert types(run, S) == ["input", "interception", *["output_image"] * 3]
    assert {one.draft.output_index for one in view(run, S).entities} == {0, 1}
    assert "safety_image" not in types(run, A)
    assert "safety_image" in types(run, R)


def test_a_picture_that_was_brought_is_for_those_who_may_see_the_process() -> None:
    run = add(add(new_run(), T.INPUT_IMAGE, A), T.SAFETY_IMAGE, R)
    assert types(run, S) == []
    assert types(run, A) == ["input_image"]
    assert types(run, R) == ["input_image", "safety_image"]


def test_an_erased_entity_is_seen_by_whom_it_was_seen_before_and_its_bytes_by_nobody() -> None:
    run = with_erased(add(new_run(), T.INPUT, S), 1, "SAFETY_BLOCKED", NOW)
    for audience in (S, A, R):
        assert types(run, audience) == ["input"]
        assert view(run, audience).present == ()


def test_an_output_that_belongs_to_no_output_is_for_research() -> None:
    run = add(new_run(), T.OUTPUT_IMAGE, S, output=0)
    assert types(run, S) == []


def test_students_get_reasons_but_no_words_for_developers() -> None:
    run = new_run().with_final_output(1, RunState.FAILED, WHY, NOW)
    run = run.finalized(RunState.FAILED, WHY, NOW)
    seen = view(run, S)
    told = replace(WHY, message="")
    assert seen.error == told
    assert seen.outputs[0].error == told
    assert seen.outputs[0].state is RunState.FAILED
    last = seen.event(run.events[-1])
    assert last == replace(run.events[-1], payload=StateChanged(RunState.FAILED, told))
    for audience in (A, R):
        assert view(run, audience).error == WHY
        assert view(run, audience).outputs[0].error == WHY
        assert view(run, audience).event(run.events[-1]) == run.events[-1]


def test_models_are_those_of_what_is_seen() -> None:
    run = through_stage_4(through_stage_3(through_stage_2(new_run())))
    run = run.with_final_output(1, RunState.SUCCEEDED, None, NOW)
    assert view(run, R).models_used == run.models_used == (JUDGE, WRITER, PAINTER)
    assert view(run, A).models_used == view(run, S).models_used == (WRITER, PAINTER)


def test_metadata_is_of_the_process() -> None:
    run = add(new_run(), T.INPUT, S)
    assert view(run, S).entities[0].draft.metadata == {}
    assert view(run, S).entity(1).draft.metadata == {}
    assert view(run, A).entity(1).draft.metadata == {"prompt_id": "p1"}


def test_counts_are_those_of_the_whole_run() -> None:
    run = through_stage_2(new_run())
    assert view(run, S).whole.progress.completed == 4


def test_what_a_step_keeps_is_for_research_whatever_was_recorded_with_it() -> None:
    run = add(new_run(), T.STEP_OUTPUT, S)
    assert [len(view(run, one).entities) for one in (S, A, R)] == [0, 0, 1]


def test_a_question_is_for_whom_it_was_recorded_until_a_check_refuses_the_text() -> None:
    run = add(add(new_run(), T.QUESTION, S), T.DECISION, S)
    assert [len(view(run, one).entities) for one in (S, A, R)] == [2, 2, 2]
    refused = run.finalized(RunState.BLOCKED, WHY, NOW)
    assert [one.type for one in view(refused, S).entities] == [T.DECISION]
    assert [one.type for one in view(refused, A).entities] == [T.DECISION]
    assert len(view(refused, R).entities) == 2
