"""The four stages: what is asked of whom, in which order, and how a run ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.kit.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from services.kit.ids import RunId
from services.orchestrator.domain.plan import RunRequest
from services.orchestrator.domain.run import OutputOffer
from services.orchestrator.ports import RenderHint, TextHint
from tests.support.eventually import eventually
from tests.support.stage import DADA, REQUEST, RUN, Stage, stage_with

AWAY = Unavailable("RECORDER_UNAVAILABLE", "recorder answered UNAVAILABLE")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = stage_with(DADA)
    yield made
    await made.supervisor.drain()


def _offer(stage: Stage, *names: str) -> RunRequest:
    stage.media.offers = tuple(OutputOffer(name, "image", available=True) for name in set(names))
    return replace(REQUEST, output_configs=names)


async def test_a_run_tells_its_story_in_order(stage: Stage) -> None:
    assert await stage.run() == "succeeded"
    assert stage.recorder.types == [
        "input",
        "translation",
        "safety",
        "interception",
        "safety_pre_output",
    ]
    assert stage.recorder.steps == [
        (1, "translation_and_safety", 0),
        (2, "interception", 0),
        (3, "pre_output_safety", 1),
        (4, "media_generation", 1),
    ]
    assert stage.recorder.outputs == {1: ("succeeded", None)}


async def test_the_renderer_gets_the_very_text_that_was_checked(stage: Stage) -> None:
    await stage.run()
    (_, _, prompt, _) = stage.media.made[0]
    assert ("media_prompt", prompt) in stage.safety.asked
    assert prompt == stage.recorder.text_of("interception") == "Eine Blume+1"


async def test_nothing_is_translated_before_the_input_was_checked(stage: Stage) -> None:
    state = await stage.run(replace(REQUEST, input_text="verboten"))
    assert state == "blocked"
    assert stage.interception.asked == []
    assert stage.media.made == []
    assert stage.recorder.types == ["input", "safety", "explanation"]
    assert stage.recorder.outputs[1][0] == "blocked"
    assert stage.recorder.error is not None
    assert (stage.recorder.error.reason, stage.recorder.error.stage) == ("SAFETY_BLOCKED", 1)
    verdict = json.loads(stage.recorder.text_of("safety"))
    assert verdict["decision"] == "blocked"
    assert verdict["explanation"] == "Das geht hier nicht."
    assert verdict["terms"] == ["verboten"]
    assert stage.safety.languages == ["de"]


async def test_a_no_is_explained_to_the_person_without_its_evidence(stage: Stage) -> None:
    await stage.run(replace(REQUEST, input_text="verboten"))
    evidence, explanation = stage.recorder.drafts[-2:]
    assert (evidence.type, evidence.audience) == ("safety", "research")
    assert (explanation.type, explanation.audience) == ("explanation", "student")
    assert json.loads(explanation.data) == {
        "stage": 1,
        "decision": "blocked",
        "rule": "youth.test",
        "explanation": "Das geht hier nicht.",
        "suggestion": "Versuch etwas anderes.",
        "alternative": "Eine Katze",
        "language": "de",
    }
    assert explanation.models == evidence.models


async def test_every_blocked_output_has_an_explanation_of_its_own(stage: Stage) -> None:
    stage.interception.write = lambda *_: "verboten"
    await stage.run(_offer(stage, "a", "b"))
    found = [d for d in stage.recorder.drafts if d.type == "explanation"]
    assert [(d.output_index, d.stage, d.audience) for d in found] == [
        (1, 3, "student"),
        (2, 3, "student"),
    ]


async def test_a_yes_needs_no_explanation(stage: Stage) -> None:
    await stage.run()
    assert "explanation" not in stage.recorder.types


async def test_a_translation_is_checked_like_the_input(stage: Stage) -> None:
    stage.interception.translate = lambda text: "verboten in English"
    assert await stage.run() == "blocked"
    assert [config for config, *_ in stage.interception.asked] == ["translation_en"]
    assert stage.recorder.types == ["input", "translation", "safety", "explanation"]
    translation = stage.recorder.drafts[1]
    assert translation.audience == "research"
    assert translation.metadata["translated"] == "true"


async def test_ones_own_rules_are_checked_alone_and_together_with_the_text(stage: Stage) -> None:
    request = replace(REQUEST, input_text="boten Blume", context="Male alles ver")
    stage.safety.forbidden = ("ver\nboten",)
    assert await stage.run(request) == "blocked"
    purposes = [purpose for purpose, _ in stage.safety.asked]
    assert purposes == ["input", "context", "context"]
    assert stage.interception.asked == []


async def test_ones_own_rules_reach_the_recipe_and_not_the_translator(stage: Stage) -> None:
    await stage.run(replace(REQUEST, context="nur Dreiecke"))
    assert [(config, context) for config, _, context, _ in stage.interception.asked] == [
        ("translation_en", ""),
        ("dada", "nur Dreiecke"),
    ]


async def test_each_pass_gets_the_text_of_the_one_before() -> None:
    stage = stage_with(replace(DADA, passes=8, translates_input=False))
    assert await stage.run() == "succeeded"
    inputs = [text for _, text, _, _ in stage.interception.asked]
    outputs = [stage.recorder.text_of(f"interception-pass-{k}") for k in range(1, 9)]
    assert inputs == ["Eine Blume", *outputs[:-1]]
    assert stage.recorder.text_of("interception") == outputs[-1]
    passes = [d.pass_number for d in stage.recorder.drafts if d.type == "interception_pass"]
    assert passes == list(range(1, 9))


async def test_what_a_pass_made_up_does_not_reach_the_next_unchecked() -> None:
    stage = stage_with(replace(DADA, passes=8, translates_input=False))
    stage.interception.write = lambda _, text, number: text + (" verboten" if number == 3 else "")
    assert await stage.run() == "blocked"
    assert len(stage.interception.asked) == 3
    assert stage.recorder.types[-2:] == ["safety", "explanation"]
    assert [d.pass_number for d in stage.recorder.drafts[-2:]] == [3, 3]
    assert stage.recorder.error is not None
    assert stage.recorder.error.stage == 2


async def test_text_grows_in_hints_before_it_is_a_fact(stage: Stage) -> None:
    await stage.run()
    await eventually(lambda: bool(stage.recorder.hints) or stage.recorder.runs[RUN].is_final)
    for hint in stage.recorder.hints:
        if isinstance(hint, TextHint) and hint.entity_type == "interception":
            assert "Eine Blume+1"[hint.offset :].startswith(hint.text)


async def test_progress_of_the_rendering_is_passed_on(stage: Stage) -> None:
    stage.media.frozen = True
    await stage.supervisor.start(REQUEST)
    await eventually(lambda: any(isinstance(hint, RenderHint) for hint in stage.recorder.hints))
    await stage.supervisor.cancel(RUN)


async def test_one_failed_output_leaves_the_others_alone(stage: Stage) -> None:
    request = _offer(stage, "a", "b", "c")
    stage.media.failing["b"] = FailedPrecondition(
        "COMFY_EXECUTION", "a node failed", metadata={"node": "7"}
    )
    assert await stage.run(request) == "partial"
    assert [state for state, _ in stage.recorder.outputs.values()] == [
        "succeeded",
        "failed",
        "succeeded",
    ]
    error = json.loads(stage.recorder.text_of("output-2-error"))
    assert error["type"] == "COMFY_EXECUTION"
    assert error["stage"] == 4
    assert error["details"] == {"node": "7", "output_config": "b"}


async def test_an_output_that_got_a_wrong_value_says_which(stage: Stage) -> None:
    stage.media.failing["a"] = InvalidArgument(
        "INVALID_PARAMETER", "expected 1 to 9", field="parameters.steps"
    )
    assert await stage.run(_offer(stage, "a")) == "failed"
    error = json.loads(stage.recorder.text_of("output-1-error"))
    assert error["message"] == "parameters.steps: expected 1 to 9"
    [(_, told)] = stage.recorder.outputs.values()
    assert told is not None
    assert told.message == error["message"]


async def test_one_blocked_output_leaves_the_others_alone(stage: Stage) -> None:
    stage.interception.write = lambda *_: "verboten"
    assert await stage.run(_offer(stage, "a", "b")) == "blocked"
    assert stage.media.made == []
    assert stage.recorder.types.count("safety_pre_output") == 2
    assert {state for state, _ in stage.recorder.outputs.values()} == {"blocked"}


async def test_an_output_that_is_not_available_says_so(stage: Stage) -> None:
    request = _offer(stage, "a", "b")
    stage.media.failing["a"] = FailedPrecondition("OUTPUT_NOT_AVAILABLE", "no instance")
    assert await stage.run(request) == "partial"
    assert stage.recorder.outputs[1][0] == "not_available"


async def test_all_failed_is_failed_with_the_first_reason(stage: Stage) -> None:
    stage.media.failing["builtin_image"] = DeadlineExceeded("DEADLINE", "took too long")
    assert await stage.run() == "failed"
    assert stage.recorder.error is not None
    assert stage.recorder.error.reason == "DEADLINE"
    assert stage.recorder.error.retryable


async def test_a_check_that_could_not_be_made_fails_closed(stage: Stage) -> None:
    stage.safety.failures = [Internal("SAFETY_PROTOCOL", "no decision")]
    assert await stage.run() == "failed"
    assert stage.interception.asked == []
    assert stage.media.made == []
    assert stage.recorder.types == ["input", "error"]
    assert stage.recorder.outputs[1][0] == "failed"


async def test_a_failed_interception_never_goes_on_with_the_original(stage: Stage) -> None:
    stage.interception.write = lambda *_: (_ for _ in ()).throw(
        FailedPrecondition("LLM_EMPTY_OUTPUT", "the model gave no text")
    )
    assert await stage.run() == "failed"
    assert stage.media.made == []
    assert stage.recorder.error is not None
    assert stage.recorder.error.reason == "LLM_EMPTY_OUTPUT"


async def test_a_recorder_that_is_away_for_a_moment_costs_time_and_no_facts(stage: Stage) -> None:
    await stage.supervisor.start(REQUEST)
    stage.recorder.failures = [AWAY, AWAY]
    assert await stage.final() == "succeeded"
    assert stage.recorder.types == [
        "input",
        "translation",
        "safety",
        "interception",
        "safety_pre_output",
    ]


async def test_a_media_service_that_restarts_is_asked_again(stage: Stage) -> None:
    stage.media.failures = [Unavailable("MEDIA_UNAVAILABLE", "media answered UNAVAILABLE")]
    assert await stage.run() == "succeeded"
    assert len(stage.media.made) == 1


async def test_a_stream_that_broke_starts_its_text_again(stage: Stage) -> None:
    stage.interception.failures = [
        Unavailable("INTERCEPTION_UNAVAILABLE", "interception answered UNAVAILABLE")
    ]
    assert await stage.run() == "succeeded"
    assert {d.type: d.attempt for d in stage.recorder.drafts} == {
        "input": 1,
        "translation": 2,
        "safety": 1,
        "interception": 1,
        "safety_pre_output": 1,
    }


async def test_a_check_that_was_asked_again_says_at_which_attempt_it_was_made(
    stage: Stage,
) -> None:
    away = Unavailable("SAFETY_UNAVAILABLE", "safety answered UNAVAILABLE")
    stage.safety.failures = [away, away]
    assert await stage.run(replace(REQUEST, input_text="verboten")) == "blocked"
    assert [d.attempt for d in stage.recorder.drafts] == [1, 3, 3]


async def test_a_text_says_from_which_seed_it_follows(stage: Stage) -> None:
    await stage.run(replace(REQUEST, seed=4711))
    texts = [d for d in stage.recorder.drafts if d.type in ("translation", "interception")]
    assert [d.metadata["seed"] for d in texts] == ["4711", "4711"]


async def test_cancel_stops_the_job_and_ends_as_cancelled(stage: Stage) -> None:
    stage.media.frozen = True
    await stage.supervisor.start(_offer(stage, "a", "b"))
    await stage.media.started.wait()
    await stage.supervisor.cancel(RUN)
    assert stage.recorder.state(RUN) == "cancelled"
    assert stage.media.cancelled == [1]
    assert [state for state, _ in stage.recorder.outputs.values()] == ["cancelled", "cancelled"]


async def test_cancel_in_the_middle_of_the_text_ends_as_cancelled(stage: Stage) -> None:
    stage.interception.frozen = True
    await stage.supervisor.start(REQUEST)
    await eventually(lambda: bool(stage.interception.asked))
    await asyncio.gather(*[stage.supervisor.cancel(RUN) for _ in range(3)])
    assert stage.recorder.state(RUN) == "cancelled"


async def test_cancel_right_after_the_start_ends_as_cancelled(stage: Stage) -> None:
    stage.media.frozen = True
    await stage.supervisor.start(REQUEST)
    await stage.supervisor.cancel(RUN)
    assert stage.recorder.state(RUN) == "cancelled"


async def test_cancel_of_an_ended_run_changes_nothing(stage: Stage) -> None:
    await stage.run()
    await stage.supervisor.cancel(RUN)
    assert stage.recorder.state(RUN) == "succeeded"


async def test_cancel_of_a_run_nobody_knows_is_not_found(stage: Stage) -> None:
    with pytest.raises(NotFound):
        await stage.supervisor.cancel(RunId.new())


async def test_start_is_idempotent(stage: Stage) -> None:
    await asyncio.gather(*[stage.supervisor.start(REQUEST) for _ in range(5)])
    assert await stage.final() == "succeeded"
    await stage.supervisor.start(REQUEST)
    assert len(stage.media.made) == 1
    assert stage.recorder.types.count("input") == 1


async def test_the_same_id_for_another_text_is_refused(stage: Stage) -> None:
    await stage.run()
    with pytest.raises(AlreadyExists, match="REQUEST_ID_REUSED"):
        await stage.supervisor.start(replace(REQUEST, input_text="etwas anderes"))


async def test_nothing_is_created_when_the_plan_has_a_defect(stage: Stage) -> None:
    with pytest.raises(NotFound, match="CONFIG_NOT_FOUND"):
        await stage.supervisor.start(replace(REQUEST, config_name="nonsense"))
    with pytest.raises(NotFound, match="CONFIG_NOT_FOUND"):
        await stage.supervisor.start(replace(REQUEST, output_configs=("nonsense",)))
    assert stage.recorder.runs == {}


async def test_more_runs_than_fit_are_told_to_come_back() -> None:
    stage = stage_with(DADA, max_runs=1, max_open=1)
    stage.media.frozen = True
    await stage.supervisor.start(REQUEST)
    with pytest.raises(ResourceExhausted, match="TOO_MANY_RUNS") as caught:
        await stage.supervisor.start(replace(REQUEST, run_id=RunId.new()))
    assert caught.value.retry_after_seconds
    await stage.supervisor.drain()


async def test_a_run_past_its_limit_is_stopped_with_a_reason() -> None:
    stage = stage_with(DADA, limit=0.2)
    stage.media.frozen = True
    assert await stage.run() == "failed"
    assert stage.recorder.error is not None
    assert (stage.recorder.error.reason, stage.recorder.error.stage) == ("RUN_DEADLINE", 4)
    assert stage.media.cancelled == [1]


async def test_a_drain_takes_no_more_and_ends_nothing(stage: Stage) -> None:
    stage.media.frozen = True
    await stage.supervisor.start(REQUEST)
    await stage.media.started.wait()
    await stage.supervisor.drain()
    assert stage.recorder.state(RUN) == "running"
    assert stage.recorder.owners == {}
    assert stage.media.cancelled == []
    with pytest.raises(Unavailable, match="DRAINING"):
        await stage.supervisor.start(replace(REQUEST, run_id=RunId.new()))


def _sized(stage: Stage, **parameters: str | int) -> RunRequest:
    offer = OutputOffer(
        "sized",
        "image",
        available=True,
        text_slots=("negative_prompt",),
        parameters=("negative_prompt", "width"),
    )
    stage.media.offers = (offer,)
    return replace(REQUEST, output_configs=("sized",), parameters=parameters, user_id="anna")


async def test_what_a_request_gives_to_slots_reaches_the_renderer_and_its_texts_are_checked(
    stage: Stage,
) -> None:
    request = _sized(stage, negative_prompt="blurry", width=512)
    assert await stage.run(replace(request, allow_reuse=True)) == "succeeded"
    [job] = stage.media.jobs
    assert job.output.parameters == {"negative_prompt": "blurry", "width": 512}
    assert (job.user_id, job.allow_reuse) == ("anna", True)
    assert ("context", "blurry") in stage.safety.asked
    assert ("context", "blurry\nEine Blume") in stage.safety.asked


async def test_a_forbidden_text_for_a_slot_ends_the_run_before_any_model(stage: Stage) -> None:
    assert await stage.run(_sized(stage, negative_prompt="verboten")) == "blocked"
    assert stage.interception.asked == []
    assert stage.media.jobs == []


async def test_a_text_for_a_slot_is_judged_as_what_a_renderer_gets(stage: Stage) -> None:
    # Some things may be written about and must not be drawn.
    stage.safety.forbidden_of["media_prompt"] = ("wappen",)
    assert await stage.run(_sized(stage, negative_prompt="Unterricht: ein Wappen")) == "blocked"
    assert stage.media.jobs == []
    error = stage.recorder.outputs[1][1]
    assert error is not None
    assert (error.reason, error.stage) == ("SAFETY_BLOCKED", 3)
    [verdicts] = [one for one in stage.recorder.drafts if one.type == "safety_pre_output"]
    assert [one["decision"] for one in json.loads(verdicts.data)["verdicts"]] == ["safe", "blocked"]


async def test_a_word_split_over_a_slot_and_the_prompt_is_found(stage: Stage) -> None:
    stage.safety.forbidden_of["media_prompt"] = ("wap\neine blume+1",)
    assert await stage.run(_sized(stage, negative_prompt="Wap")) == "blocked"
    assert stage.media.jobs == []


async def test_a_text_is_judged_only_for_the_outputs_that_get_it(stage: Stage) -> None:
    request = _sized(stage, negative_prompt="ein Wappen")
    stage.media.offers = (*stage.media.offers, OutputOffer("plain", "image", available=True))
    stage.safety.forbidden_of["media_prompt"] = ("wappen",)
    assert await stage.run(replace(request, output_configs=("sized", "plain"))) == "partial"
    assert [job.output.config for job in stage.media.jobs] == ["plain"]


async def test_a_start_with_other_values_for_slots_is_another_request(stage: Stage) -> None:
    request = _sized(stage, width=512)
    assert await stage.run(request) == "succeeded"
    assert await stage.run(request) == "succeeded"
    for other in (
        replace(request, parameters={"width": 640}),
        replace(request, parameters={}),
        replace(request, allow_reuse=True),
    ):
        with pytest.raises(AlreadyExists, match="REQUEST_ID_REUSED"):
            await stage.supervisor.start(other)
    assert len(stage.media.jobs) == 1
