"""A run as pure functions: numbering, counting, ends."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.errors import FailedPrecondition, InvalidArgument, ResourceExhausted
from services.kit.ids import RunId
from services.recorder.domain import run as run_module
from services.recorder.domain.entity import (
    Entity,
    EntityDraft,
    ModelUse,
    filename_of,
    is_entity_filename,
)
from services.recorder.domain.events import EntityCommitted, OutputFinished, StateChanged
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

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN_ID = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")
WHY = RunError("SOME_REASON", "why", 4, False)


def plan_of(outputs: int = 1, expected: tuple[EntityType, ...] = ()) -> Plan:
    return Plan(
        config_name="dada",
        safety_level=SafetyLevel.YOUTH,
        user_id="u",
        deadline=None,
        outputs=tuple(Output(n + 1, "a", n + 1, MediaKind.IMAGE) for n in range(outputs)),
        expected_entities=expected,
        execution_mode=ExecutionMode.ECO,
        seed=1,
    )


def new_run(outputs: int = 1, expected: tuple[EntityType, ...] = ()) -> Run:
    return Run.create(RUN_ID, plan_of(outputs, expected), NOW, NOW + timedelta(hours=1))


def draft(
    entity_type: EntityType = EntityType.INPUT, output: int = 0, *models: ModelUse
) -> EntityDraft:
    return EntityDraft(entity_type, output, {}, 0, 0, None, None, 1, Audience.STUDENT, models)


def add(run: Run, what: EntityDraft, media_type: str = "text/plain") -> tuple[Run, Entity]:
    entity = run.next_entity(
        what,
        f"u{len(run.entities)}",
        media_type=media_type,
        size_bytes=1,
        sha256=hashlib.sha256(b"x").hexdigest(),
        now=NOW,
    )
    return run.with_entity(entity), entity


@given(
    st.lists(st.sampled_from(list(EntityType)), max_size=30),
    st.lists(st.sampled_from(list(EntityType)), max_size=30),
)
def test_completed_never_exceeds_expected_which_never_shrinks(
    expected: list[EntityType], committed: list[EntityType]
) -> None:
    run = new_run(expected=tuple(expected))
    for entity_type in committed:
        before = run.expected_entities
        run, _ = add(run, draft(entity_type))
        assert run.progress.completed <= run.progress.expected
        assert run.expected_entities[: len(before)] == before
    for entity_type in EntityType:
        present = sum(1 for one in run.entities if one.type is entity_type)
        assert present <= run.expected_entities.count(entity_type)
    grown = len(run.expected_entities) - len(expected)
    assert grown == sum(
        max(0, committed.count(one) - expected.count(one)) for one in set(committed)
    )


@pytest.mark.parametrize(
    ("sequence", "name"),
    [(1, "01_output_image.png"), (99, "99_output_image.png"), (100, "100_output_image.png")],
)
def test_a_file_name_tells_order_and_type(sequence: int, name: str) -> None:
    assert filename_of(sequence, EntityType.OUTPUT_IMAGE, "png") == name
    assert is_entity_filename(name)


@pytest.mark.parametrize(
    "name",
    [
        "metadata.json",
        "1_input.txt",
        "01_input",
        "01_nonsense.txt",
        "01_input.txt\n",
        "x01_input.txt",
    ],
)
def test_other_names_are_nobodys_entity(name: str) -> None:
    assert not is_entity_filename(name)


def test_events_are_numbered_without_gap() -> None:
    run = new_run(outputs=2).at(1, "one", 0, NOW)
    run, _ = add(run, draft())
    run = run.with_final_output(1, RunState.FAILED, WHY, NOW)
    run = run.finalized(RunState.FAILED, WHY, NOW)
    assert [event.seq for event in run.events] == list(range(1, len(run.events) + 1))
    kinds = [type(event.payload) for event in run.events[3:]]
    assert kinds == [EntityCommitted, OutputFinished, OutputFinished, StateChanged]


def test_nothing_changes_when_nothing_changes() -> None:
    run = new_run().at(1, "one", 0, NOW)
    assert run.at(1, "one", 0, NOW + timedelta(seconds=1)) is run
    run = run.with_final_output(1, RunState.BLOCKED, WHY, NOW)
    assert run.with_final_output(1, RunState.FAILED, WHY, NOW) is run
    run = run.finalized(RunState.CANCELLED, None, NOW)
    assert run.finalized(RunState.FAILED, WHY, NOW) is run


def test_a_final_run_refuses_entities_and_progress() -> None:
    run = new_run().finalized(RunState.CANCELLED, None, NOW)
    with pytest.raises(FailedPrecondition):
        add(run, draft())
    with pytest.raises(FailedPrecondition):
        run.at(1, "one", 0, NOW)


@pytest.mark.parametrize(
    ("states", "end", "agrees"),
    [
        ([], RunState.SUCCEEDED, True),
        ([RunState.SUCCEEDED], RunState.SUCCEEDED, True),
        ([RunState.SUCCEEDED, RunState.BLOCKED], RunState.SUCCEEDED, False),
        ([RunState.PENDING], RunState.SUCCEEDED, False),
        ([RunState.SUCCEEDED, RunState.NOT_AVAILABLE], RunState.PARTIAL, True),
        ([RunState.SUCCEEDED, RunState.RUNNING], RunState.PARTIAL, False),
        ([RunState.BLOCKED, RunState.FAILED], RunState.PARTIAL, False),
        ([], RunState.PARTIAL, False),
        ([RunState.PENDING], RunState.FAILED, True),
        ([RunState.SUCCEEDED], RunState.CANCELLED, True),
    ],
)
def test_a_run_claims_only_what_its_outputs_show(
    states: list[RunState], end: RunState, agrees: bool
) -> None:
    run = new_run(outputs=len(states))
    outputs = zip(run.outputs, states, strict=True)
    run = replace(run, outputs=tuple(replace(one, state=state) for one, state in outputs))
    if agrees:
        assert run.finalized(end, WHY, NOW).state is end
    else:
        with pytest.raises(FailedPrecondition) as caught:
            run.finalized(end, WHY, NOW)
        assert caught.value.reason == "OUTPUTS_DISAGREE"


def test_success_of_an_output_needs_its_own_bytes() -> None:
    run, _ = add(new_run(outputs=2), draft(EntityType.OUTPUT_IMAGE, 2), "image/png")
    run, _ = add(run, draft(EntityType.SAFETY_OUTPUT, 1), "application/json")
    with pytest.raises(FailedPrecondition):
        run.with_final_output(1, RunState.SUCCEEDED, None, NOW)
    assert run.with_final_output(2, RunState.SUCCEEDED, None, NOW).outputs[1].state.is_final


def test_an_output_nobody_planned_is_refused() -> None:
    with pytest.raises(InvalidArgument) as caught:
        add(new_run(outputs=1), draft(EntityType.OUTPUT_IMAGE, 2), "image/png")
    assert caught.value.field == "entity.output_index"


def test_models_used_keeps_order_and_says_each_once() -> None:
    first, second = ModelUse("a", "b", "c"), ModelUse("a", "b", "d")
    run, _ = add(new_run(), draft(EntityType.INPUT, 0, first, first))
    run, _ = add(run, draft(EntityType.INPUT, 0, second, first))
    assert run.models_used == (first, second)


def test_a_run_is_bounded_and_can_still_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "MAX_EVENTS", 3)
    run = new_run()
    run, _ = add(run, draft())
    run, _ = add(run, draft())
    with pytest.raises(ResourceExhausted) as caught:
        add(run, draft())
    assert caught.value.reason == "RUN_TOO_LARGE"
    assert run.finalized(RunState.CANCELLED, None, NOW).is_final


def test_the_digest_of_a_plan_tells_plans_apart() -> None:
    plan = plan_of(2, (EntityType.INPUT,))
    changed = [
        replace(plan, config_name="bauhaus"),
        replace(plan, safety_level=SafetyLevel.KIDS),
        replace(plan, user_id="v"),
        replace(plan, deadline=NOW),
        replace(plan, outputs=plan.outputs[:1]),
        replace(plan, expected_entities=()),
        replace(plan, execution_mode=ExecutionMode.FAST),
        replace(plan, seed=2),
    ]
    digests = {one.digest() for one in (plan, *changed)}
    assert len(digests) == len(changed) + 1
    assert plan_of(2, (EntityType.INPUT,)).digest() == plan.digest()
