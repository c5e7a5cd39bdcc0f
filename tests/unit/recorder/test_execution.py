"""Rows of runs and steps, from the facts of a record: as the orchestrator leaves them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.kit.ids import EntityName, RunId
from services.recorder.domain.entity import EntityDraft
from services.recorder.domain.execution import RunExecution, StepExecution, execution_of
from services.recorder.domain.outcome import Output, RunError
from services.recorder.domain.plan import Plan
from services.recorder.domain.run import Run
from services.recorder.domain.vocabulary import (
    Audience,
    EntityType,
    ExecutionMode,
    MediaKind,
    RunState,
    SafetyLevel,
)

RUN_ID = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
BLOCKED = RunError("SAFETY_BLOCKED", "weapons", 1, False)
AWAY = RunError("MEDIA_UNAVAILABLE", "away", 4, True)


@dataclass
class Course:
    """A run on its way; every fact comes 10 ms after the one before."""

    run: Run
    now: datetime = field(default=NOW)

    def tick(self) -> datetime:
        self.now += timedelta(milliseconds=10)
        return self.now

    def at(self, stage: int, step: str, output: int = 0) -> None:
        self.run = self.run.at(stage, step, output, self.tick())

    def has(
        self, kind: EntityType, stage: int, output: int = 0, number: int = 0, attempt: int = 1
    ) -> None:
        draft = EntityDraft(
            kind, output, {}, stage, number, None, None, attempt, Audience.STUDENT, ()
        )
        entity = self.run.next_entity(
            draft,
            f"u-{len(self.run.entities)}",
            media_type="text/plain",
            size_bytes=1,
            sha256="0" * 64,
            now=self.tick(),
        )
        self.run = self.run.with_entity(entity)

    def output_ends(self, index: int, state: RunState, error: RunError | None = None) -> None:
        self.run = self.run.with_final_output(index, state, error, self.tick())

    def ends(self, state: RunState, error: RunError | None = None) -> None:
        self.run = self.run.finalized(state, error, self.tick())

    def texts(self) -> None:
        """Stages 0 to 2, as they go when nothing is in the way."""
        self.has(EntityType.INPUT, 0)
        self.at(1, "translation_and_safety")
        self.has(EntityType.TRANSLATION, 1)
        self.has(EntityType.SAFETY, 1)
        self.at(2, "interception")
        self.has(EntityType.INTERCEPTION, 2)

    def output(self, index: int) -> None:
        """Stages 3 and 4 of an output that succeeds."""
        self.at(3, "pre_output_safety", index)
        self.has(EntityType.SAFETY_PRE_OUTPUT, 3, index)
        self.at(4, "media_generation", index)
        self.has(EntityType.OUTPUT_IMAGE, 4, index)
        self.output_ends(index, RunState.SUCCEEDED)

    def rows(self) -> RunExecution:
        return execution_of(self.run)


def course(outputs: int = 1, expected: tuple[EntityType, ...] = ()) -> Course:
    plan = Plan(
        config_name="dada",
        safety_level=SafetyLevel.YOUTH,
        user_id="pseudonym-1",
        deadline=None,
        outputs=tuple(Output(n + 1, "image", n + 1, MediaKind.IMAGE) for n in range(outputs)),
        expected_entities=expected,
        execution_mode=ExecutionMode.ECO,
        seed=1,
    )
    return Course(Run.create(RUN_ID, plan, NOW, NOW + timedelta(hours=1)))


def names(*sequences: int) -> tuple[EntityName, ...]:
    return tuple(EntityName(RUN_ID, one) for one in sequences)


def told(step: StepExecution) -> tuple[int, str, int, str, str | None]:
    return step.stage, step.step, step.output_index, step.status.value, step.error


def test_a_run_that_succeeds_has_a_row_for_every_step_with_its_time() -> None:
    one = course()
    one.texts()
    one.output(1)
    one.ends(RunState.SUCCEEDED)
    rows = one.rows()
    assert [told(step) for step in rows.steps] == [
        (1, "translation_and_safety", 0, "succeeded", None),
        (2, "interception", 0, "succeeded", None),
        (3, "pre_output_safety", 1, "succeeded", None),
        (4, "media_generation", 1, "succeeded", None),
    ]
    assert [step.execution_time_ms for step in rows.steps] == [30, 20, 20, 20]
    assert [step.number for step in rows.steps] == [1, 2, 3, 4]
    assert (rows.status, rows.error, rows.retry_count) == (RunState.SUCCEEDED, None, 0)
    assert rows.started_at == rows.steps[0].started_at
    assert rows.completed_at == one.now
    assert rows.execution_time_ms == 100


def test_each_step_names_what_it_read_and_what_it_made() -> None:
    one = course()
    one.texts()
    one.output(1)
    one.ends(RunState.SUCCEEDED)
    rows = one.rows()
    assert (rows.inputs, rows.outputs) == (names(1), names(6))
    assert [step.inputs for step in rows.steps] == [names(1), names(2), names(4), names(4)]
    assert [step.outputs for step in rows.steps] == [names(2, 3), names(4), names(5), names(6)]


def test_rules_of_ones_own_are_read_by_the_stages_that_use_them() -> None:
    one = course()
    one.has(EntityType.INPUT, 0)
    one.has(EntityType.CONTEXT, 0)
    one.at(1, "translation_and_safety")
    one.at(2, "interception")
    rows = one.rows()
    assert rows.inputs == names(1, 2)
    assert [step.inputs for step in rows.steps] == [names(1, 2), names(1, 2)]


def test_a_block_before_the_outputs_is_the_end_of_its_step() -> None:
    one = course()
    one.has(EntityType.INPUT, 0)
    one.at(1, "translation_and_safety")
    one.has(EntityType.SAFETY, 1)
    one.output_ends(1, RunState.BLOCKED, BLOCKED)
    one.ends(RunState.BLOCKED, BLOCKED)
    rows = one.rows()
    assert [told(step) for step in rows.steps] == [
        (1, "translation_and_safety", 0, "blocked", "SAFETY_BLOCKED")
    ]
    assert (rows.status, rows.error) == (RunState.BLOCKED, "SAFETY_BLOCKED")
    assert rows.steps[0].completed_at == one.now


def test_an_output_that_is_blocked_and_one_that_fails_leave_the_others_alone() -> None:
    one = course(3)
    one.texts()
    one.at(3, "pre_output_safety", 1)
    one.has(EntityType.SAFETY_PRE_OUTPUT, 3, 1)
    one.output_ends(1, RunState.BLOCKED, BLOCKED)
    one.at(3, "pre_output_safety", 2)
    one.at(4, "media_generation", 2)
    one.has(EntityType.ERROR, 4, 2)
    one.output_ends(2, RunState.FAILED, AWAY)
    one.output(3)
    one.ends(RunState.PARTIAL)
    rows = one.rows()
    assert [told(step) for step in rows.steps[2:]] == [
        (3, "pre_output_safety", 1, "blocked", "SAFETY_BLOCKED"),
        (3, "pre_output_safety", 2, "succeeded", None),
        (4, "media_generation", 2, "failed", "MEDIA_UNAVAILABLE"),
        (3, "pre_output_safety", 3, "succeeded", None),
        (4, "media_generation", 3, "succeeded", None),
    ]
    assert rows.steps[4].outputs == names(6)
    assert (rows.status, rows.error, rows.outputs) == (RunState.PARTIAL, None, names(8))


def test_an_output_whose_renderer_is_missing_is_not_available() -> None:
    missing = RunError("OUTPUT_NOT_AVAILABLE", "none", 4, False)
    one = course()
    one.texts()
    one.at(4, "media_generation", 1)
    one.output_ends(1, RunState.NOT_AVAILABLE, missing)
    one.ends(RunState.FAILED, missing)
    assert told(one.rows().steps[-1])[3:] == ("not_available", "OUTPUT_NOT_AVAILABLE")


def test_a_cancelled_run_cancels_the_step_it_stood_in_and_no_other() -> None:
    one = course(3)
    one.texts()
    one.output(1)
    one.at(3, "pre_output_safety", 2)
    one.at(4, "media_generation", 2)
    one.ends(RunState.CANCELLED)
    rows = one.rows()
    assert [step.status.value for step in rows.steps] == ["succeeded"] * 5 + ["cancelled"]
    assert rows.steps[-1].error is None
    # What never began has no row.
    assert {step.output_index for step in rows.steps} == {0, 1, 2}


def test_a_run_that_nobody_ended_in_time_ends_its_step_with_the_deadline() -> None:
    late = RunError("RUN_DEADLINE", "the run took too long", 2, True)
    one = course()
    one.has(EntityType.INPUT, 0)
    one.at(1, "translation_and_safety")
    one.at(2, "interception")
    one.ends(RunState.FAILED, late)
    assert told(one.rows().steps[-1]) == (2, "interception", 0, "failed", "RUN_DEADLINE")


def test_what_goes_on_has_no_end_and_no_time_yet() -> None:
    one = course()
    one.texts()
    rows = one.rows()
    assert (rows.status, rows.completed_at, rows.execution_time_ms) == (
        RunState.RUNNING,
        None,
        None,
    )
    step = rows.steps[-1]
    assert (step.status, step.completed_at, step.execution_time_ms) == (
        RunState.RUNNING,
        None,
        None,
    )


def test_a_run_that_never_began_has_no_steps_and_took_no_time() -> None:
    one = course()
    one.ends(RunState.FAILED, AWAY)
    rows = one.rows()
    assert (rows.steps, rows.started_at, rows.execution_time_ms) == ((), None, None)
    assert rows.completed_at is not None


def test_each_pass_of_a_recipe_is_a_row_and_reads_the_one_before() -> None:
    one = course(expected=(EntityType.INTERCEPTION_PASS,) * 3)
    one.has(EntityType.INPUT, 0)
    one.at(1, "translation_and_safety")
    one.at(2, "interception")
    for number in (1, 2, 3):
        one.has(EntityType.INTERCEPTION_PASS, 2, number=number, attempt=number)
    one.has(EntityType.INTERCEPTION, 2)
    one.at(3, "pre_output_safety", 1)
    step, *passes, after = one.rows().steps[1:]
    assert (step.pass_number, step.outputs, after.number) == (0, names(2, 3, 4, 5), 6)
    assert [row.pass_number for row in passes] == [1, 2, 3]
    assert [row.inputs for row in passes] == [names(1), names(2), names(3)]
    assert [row.outputs for row in passes] == [names(2), names(3), names(4)]
    assert [row.execution_time_ms for row in passes] == [10, 10, 10]
    assert [row.retry_count for row in passes] == [0, 1, 2]
    # The step's count is that of its worst pass, and a run counts steps, not passes too.
    assert (step.retry_count, one.rows().retry_count) == (2, 2)


def test_a_pass_that_is_cut_short_is_a_row_too() -> None:
    one = course(expected=(EntityType.INTERCEPTION_PASS,) * 3)
    one.has(EntityType.INPUT, 0)
    one.at(1, "translation_and_safety")
    one.at(2, "interception")
    one.has(EntityType.INTERCEPTION_PASS, 2, number=1)
    in_work = one.rows().steps[-1]
    assert (in_work.pass_number, in_work.status, in_work.inputs) == (2, RunState.RUNNING, names(2))
    one.has(EntityType.ERROR, 2)
    one.ends(RunState.FAILED, AWAY)
    cut = one.rows().steps[-1]
    assert (cut.pass_number, cut.status, cut.error) == (2, RunState.FAILED, "MEDIA_UNAVAILABLE")
    assert (cut.completed_at, cut.outputs) == (one.now, ())


def test_a_pass_whose_text_was_refused_is_the_last_one() -> None:
    one = course(expected=(EntityType.INTERCEPTION_PASS,) * 3)
    one.has(EntityType.INPUT, 0)
    one.at(1, "translation_and_safety")
    one.at(2, "interception")
    one.has(EntityType.INTERCEPTION_PASS, 2, number=1)
    one.has(EntityType.INTERCEPTION_PASS, 2, number=2)
    one.has(EntityType.SAFETY, 2, number=2)
    one.ends(RunState.BLOCKED, BLOCKED)
    step, first, second = one.rows().steps[1:]
    assert (step.status, first.status, second.status) == (
        RunState.BLOCKED,
        RunState.SUCCEEDED,
        RunState.BLOCKED,
    )
    assert (first.error, second.error) == (None, "SAFETY_BLOCKED")
    assert second.outputs == names(3, 4)


def test_a_step_that_is_begun_again_is_one_row_with_a_retry() -> None:
    one = course(2)
    one.texts()
    one.at(4, "media_generation", 1)
    one.at(4, "media_generation", 2)
    one.at(4, "media_generation", 1)
    one.has(EntityType.OUTPUT_IMAGE, 4, 1, attempt=2)
    one.output_ends(1, RunState.SUCCEEDED)
    rows = one.rows()
    assert [(step.output_index, step.retry_count) for step in rows.steps[2:]] == [(1, 1), (2, 0)]
    assert rows.retry_count == 1
    assert rows.steps[2].status is RunState.SUCCEEDED


def test_outputs_that_are_in_work_at_once_end_each_for_itself() -> None:
    one = course(2)
    one.texts()
    one.at(4, "media_generation", 1)
    one.at(4, "media_generation", 2)
    assert [step.status.value for step in one.rows().steps[2:]] == ["running", "running"]
    one.has(EntityType.OUTPUT_IMAGE, 4, 1)
    one.output_ends(1, RunState.SUCCEEDED)
    one.output_ends(2, RunState.FAILED, AWAY)
    first, second = one.rows().steps[2:]
    assert (first.status, first.execution_time_ms) == (RunState.SUCCEEDED, 30)
    assert (second.status, second.execution_time_ms) == (RunState.FAILED, 30)


def test_a_clock_that_is_set_back_makes_no_negative_time() -> None:
    one = course()
    one.at(1, "translation_and_safety")
    one.now -= timedelta(hours=1)
    one.ends(RunState.CANCELLED)
    assert one.rows().execution_time_ms == 0
    assert one.rows().steps[0].execution_time_ms == 0


def test_no_row_holds_the_pseudonym_or_a_message() -> None:
    one = course()
    one.texts()
    one.ends(RunState.FAILED, replace(AWAY, message="the message"))
    text = repr(one.rows())
    assert "pseudonym-1" not in text
    assert "the message" not in text


@st.composite
def courses(draw: st.DrawFn) -> Course:
    """Whatever the recorder lets a client do, in any order."""
    one = course(2, (EntityType.INTERCEPTION_PASS,) * draw(st.integers(0, 2)))
    types = st.sampled_from(list(EntityType))
    outputs = st.integers(0, 2)
    for _ in range(draw(st.integers(0, 12))):
        if draw(st.booleans()):
            one.at(draw(st.integers(0, 4)), draw(st.sampled_from(["a", "b"])), draw(outputs))
        else:
            one.has(draw(types), draw(st.integers(0, 4)), draw(outputs), draw(st.integers(0, 2)))
    if draw(st.booleans()):
        one.ends(draw(st.sampled_from([RunState.FAILED, RunState.CANCELLED])), AWAY)
    return one


@given(courses())
def test_whatever_is_recorded_the_rows_agree_with_one_another(one: Course) -> None:
    rows = one.rows()
    keys = [(s.stage, s.step, s.output_index, s.pass_number) for s in rows.steps]
    assert len(set(keys)) == len(keys)
    assert [step.number for step in rows.steps] == list(range(1, len(keys) + 1))
    for step in rows.steps:
        assert (step.status is RunState.RUNNING) == (step.completed_at is None)
        assert rows.completed_at is None or step.completed_at is not None
        assert step.execution_time_ms is None or step.execution_time_ms >= 0
