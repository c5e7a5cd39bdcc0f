from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from services.kit.errors import (
    ArtlabError,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)
from services.orchestrator.engine.step import (
    JsonObject,
    PipelineResult,
    StepBlocked,
    StepResult,
    StepScope,
)
from tests.support.virtual_time import run_virtually
from tests.unit.orchestrator.engine.scripted import (
    Script,
    Stage,
    fails,
    gives,
    path,
    pipeline,
    step,
)


class Errors:
    """Raises these one after the other, then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.at: list[float] = []
        self.attempts: list[int] = []

    async def __call__(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        self.at.append(asyncio.get_running_loop().time())
        self.attempts.append(scope.attempt)
        if self.errors:
            raise self.errors.pop(0)
        return {"attempt": scope.attempt}


def only(script: Script, **fields: Any) -> StepResult:
    return perform(script, **fields).steps[0]


def perform(script: Script, **fields: Any) -> PipelineResult:
    return run_virtually(Stage({"a": script}).perform(pipeline([step("a", **fields)])))


def away(wait: float | None = None) -> Unavailable:
    return Unavailable("PEER_AWAY", "away", retry_after_seconds=wait)


@pytest.mark.parametrize(
    "error",
    [away(), ResourceExhausted("TOO_MANY", "full"), DeadlineExceeded("TOO_LATE", "late")],
)
def test_what_may_pass_is_tried_again_and_every_attempt_is_kept(error: ArtlabError) -> None:
    script = Errors(error, error)
    result = only(script, retry={"attempts": 3})
    assert result.status == "succeeded"
    assert result.result == {"attempt": 3}
    assert [(one.number, one.error) for one in result.attempts] == [
        (1, error.reason),
        (2, error.reason),
        (3, ""),
    ]
    assert script.attempts == [1, 2, 3]


@pytest.mark.parametrize(
    "error",
    [InvalidArgument("WRONG", "x"), FailedPrecondition("NOT_NOW", "x"), DataLoss("GONE", "x")],
)
def test_what_will_not_pass_is_not_tried_again(error: ArtlabError) -> None:
    script = Errors(error)
    result = only(script, retry={"attempts": 3})
    assert (result.status, result.error, result.cause) == ("failed", error.reason, error)
    assert script.attempts == [1]


@pytest.mark.parametrize("on", ["NOT_NOW", "FAILED_PRECONDITION"])
def test_the_file_says_what_is_tried_again(on: str) -> None:
    again = only(Errors(FailedPrecondition("NOT_NOW", "x")), retry={"attempts": 2, "on": [on]})
    assert again.status == "succeeded"
    other = only(Errors(away()), retry={"attempts": 2, "on": [on]})
    assert other.status == "failed"


def test_without_a_word_a_step_is_tried_once() -> None:
    assert only(Errors(away())).status == "failed"


def test_waits_are_drawn_below_a_bound_that_doubles_up_to_its_own() -> None:
    script = Errors(*(away() for _ in range(9)))
    retry = {"attempts": 10, "backoff_seconds": 1, "max_backoff_seconds": 8}
    assert only(script, retry=retry).status == "succeeded"
    waits = [after - before for before, after in zip(script.at, script.at[1:], strict=False)]
    bounds = [1, 2, 4, 8, 8, 8, 8, 8, 8]
    assert all(0 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert len(set(waits)) == len(waits)


def test_who_says_when_to_come_back_is_not_asked_before() -> None:
    script = Errors(away(7.0), away(500.0))
    retry = {"attempts": 3, "backoff_seconds": 0, "max_backoff_seconds": 60}
    assert only(script, retry=retry).status == "succeeded"
    assert script.at == [0.0, 7.0, 67.0]


def test_a_verdict_is_never_tried_again() -> None:
    script = Errors(StepBlocked("a rule", 3, {"decision": "blocked"}))
    result = only(script, retry={"attempts": 3}, fallback={"text": "x"})
    assert (result.status, result.error, result.message, result.stage) == (
        "blocked",
        "SAFETY_BLOCKED",
        "a rule",
        3,
    )
    assert result.result == {"decision": "blocked"}
    assert len(result.attempts) == 1


def test_a_try_that_takes_too_long_is_cancelled_and_may_be_repeated() -> None:
    ended: list[str] = []

    async def slow_once(inputs: JsonObject, scope: StepScope) -> JsonObject:
        try:
            await asyncio.sleep(100 if scope.attempt == 1 else 1)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return {}

    result = only(slow_once, timeout_seconds=2, retry={"attempts": 2, "backoff_seconds": 0})
    assert result.status == "succeeded"
    assert ended == ["cancelled"]
    assert [(one.duration, one.error) for one in result.attempts] == [
        (timedelta(seconds=2), "STEP_TIMEOUT"),
        (timedelta(seconds=1), ""),
    ]


def test_a_timeout_of_the_step_itself_is_a_fault_of_the_step() -> None:
    result = only(Errors(TimeoutError()), timeout_seconds=2)
    assert result.error == "STEP_CRASHED"


def test_when_all_tries_failed_the_fallback_is_the_output() -> None:
    stage = Stage({"a": fails})
    written = pipeline(
        [
            step("a", retry={"attempts": 2}, fallback={"text": "{{ input.text }}", "n": 1}),
            step("b", inputs={"text": "{{ steps.a.output.text }}"}),
        ]
    )
    result = run_virtually(stage.perform(written, {"text": "Blume"}))
    assert result.state == "succeeded"
    assert result.steps[0].fell_back
    assert [one.error for one in result.steps[0].attempts] == ["PEER_AWAY", "PEER_AWAY"]
    assert result.output == {"b": {"name": "b", "text": "Blume"}}


@pytest.mark.parametrize("error", [KeyError("what somebody typed"), asyncio.CancelledError()])
def test_a_defect_of_a_step_is_a_failure_that_tells_where_but_nothing_typed(
    error: BaseException,
) -> None:
    result = only(Errors(error), retry={"attempts": 3})
    assert (result.status, result.error) == ("failed", "STEP_CRASHED")
    assert "typed" not in result.message
    assert type(error).__name__ in result.message
    assert "test_tries.py:" in result.message
    assert len(result.attempts) == 1


@pytest.mark.parametrize(
    "output",
    [
        None,
        "text",
        ["a"],
        {"a": object()},
        {"a": float("nan")},
        {"a": "\ud800"},
        {"a": "x" * 300_000},
    ],
    ids=["nothing", "a text", "a list", "an object", "nan", "half a character", "too large"],
)
def test_what_the_record_cannot_hold_is_no_output(output: Any) -> None:
    async def give(inputs: JsonObject, scope: StepScope) -> JsonObject:
        return output  # type: ignore[no-any-return]

    result = only(give, retry={"attempts": 3})
    assert (result.status, result.error) == ("failed", "STEP_OUTPUT_INVALID")


def test_an_output_is_at_once_what_it_will_be_when_it_is_remembered() -> None:
    result = only(gives(pair=(1, 2)))
    assert result.result == {"pair": [1, 2]}


def test_an_input_that_is_not_there_fails_the_step_before_it_is_tried() -> None:
    stage = Stage()
    result = run_virtually(stage.perform(pipeline([step("a", inputs={"x": "{{ input.x }}"})])))
    assert result.steps[0].error == "TEMPLATE_VALUE_MISSING"
    assert stage.began == []


def test_a_service_that_is_not_there_is_named() -> None:
    async def ask(inputs: JsonObject, scope: StepScope) -> JsonObject:
        scope.services.get("safety")
        return {}

    result = only(ask)
    assert result.error == "SERVICE_NOT_THERE"
    assert "safety" in result.message


def test_a_type_that_was_there_when_the_run_was_planned_and_is_not_now() -> None:
    from services.orchestrator.engine.definition import parse_definition

    document = {"name": "old", "steps": [{"id": "a", "type": "of_an_older_release"}]}
    result = run_virtually(Stage().perform(parse_definition(document, "plan")))
    assert result.steps[0].error == "STEP_TYPE_NOT_THERE"


def test_a_failure_is_remembered_only_when_something_was_made_of_it() -> None:
    from services.orchestrator.engine.memory import InMemory

    memory = InMemory()
    written = pipeline(
        [step("a"), step("b"), step("c")],
        path("a", "b", condition={"outcome": "failed"}),
        path("b", "c"),
    )
    stage = Stage({"a": fails, "c": fails})
    assert run_virtually(stage.perform(written, memory=memory)).state == "failed"
    assert set(memory.kept) == {("a", 1, 0), ("b", 1, 0)}
    again = Stage()
    result = run_virtually(again.perform(written, memory=memory))
    assert result.state == "succeeded"
    assert again.began == [("c", 1, 0)]
    assert result.steps[0].restored
