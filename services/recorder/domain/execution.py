"""What a record says of how a run and its steps went: one row each, for whoever counts. Pure.

A step is what a `StageStarted` names: stage, step and output. The passes of a recursive recipe are
rows of their own beside their step, which is pass 0. All times are the recorder's clock. Nothing
here holds what a person typed: entities are named, not quoted, and the pseudonym stays away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from services.kit.ids import EntityName, RunId
from services.recorder.domain.entity import Entity
from services.recorder.domain.events import (
    EntityCommitted,
    OutputFinished,
    StageStarted,
    StateChanged,
)
from services.recorder.domain.outcome import RunError
from services.recorder.domain.run import Run
from services.recorder.domain.vocabulary import EntityType, ExecutionMode, RunState, SafetyLevel

# Raised when the rows of a finished run would come out differently: those made before are redone.
PROJECTION = 1

_TYPED = frozenset({EntityType.INPUT, EntityType.CONTEXT, EntityType.INPUT_IMAGE})
_RULES = frozenset({EntityType.CONTEXT, EntityType.INPUT_IMAGE})


@dataclass(frozen=True, slots=True)
class StepExecution:
    """How one step went, or one pass of it; `number` from 1 in the order of their beginnings."""

    number: int
    stage: int
    step: str
    output_index: int
    output_config: str | None
    pass_number: int
    status: RunState
    started_at: datetime
    completed_at: datetime | None
    retry_count: int
    error: str | None
    inputs: tuple[EntityName, ...]
    outputs: tuple[EntityName, ...]

    @property
    def execution_time_ms(self) -> int | None:
        """From start to end; None while it goes on."""
        return _milliseconds(self.started_at, self.completed_at)


@dataclass(frozen=True, slots=True)
class RunExecution:
    """How a run went, as of its event `last_event_seq`."""

    run_id: RunId
    status: RunState
    config_name: str
    safety_level: SafetyLevel
    execution_mode: ExecutionMode
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    retry_count: int
    error: str | None
    inputs: tuple[EntityName, ...]
    outputs: tuple[EntityName, ...]
    last_event_seq: int
    steps: tuple[StepExecution, ...]

    @property
    def execution_time_ms(self) -> int | None:
        """From the first step to the end; None while it goes on, or when nothing began."""
        return _milliseconds(self.started_at, self.completed_at)


@dataclass(slots=True)
class _Step:
    """A step while the facts are gone through."""

    stage: int
    step: str
    output_index: int
    started_at: datetime
    starts: int = 0
    completed_at: datetime | None = None
    status: RunState = RunState.RUNNING
    error: RunError | None = None
    entities: list[Entity] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.completed_at is None

    def begin(self) -> None:
        self.starts += 1
        self.completed_at, self.status, self.error = None, RunState.RUNNING, None

    def end(self, now: datetime, status: RunState, error: RunError | None) -> None:
        self.completed_at, self.status, self.error = now, status, error


def execution_of(run: Run) -> RunExecution:
    """Return the run's row and its steps' rows, from its facts alone."""
    steps: list[StepExecution] = []
    for step in _steps(run):
        steps.append(_row(run, step, len(steps) + 1))
        steps.extend(_passes(run, step, steps[-1]))
    return RunExecution(
        run_id=run.run_id,
        status=run.state,
        config_name=run.config_name,
        safety_level=run.safety_level,
        execution_mode=run.execution_mode,
        created_at=run.created_at,
        started_at=_first(run, RunState.RUNNING),
        completed_at=run.finished_at,
        retry_count=sum(one.retry_count for one in steps if not one.pass_number),
        error=_reason(run.error),
        inputs=_names(run, (one for one in run.entities if one.type in _TYPED)),
        outputs=_names(run, (one for one in run.entities if one.type.is_output)),
        last_event_seq=run.last_event_seq,
        steps=tuple(steps),
    )


def _steps(run: Run) -> list[_Step]:
    found: dict[tuple[int, str, int], _Step] = {}
    latest: dict[tuple[int, int], _Step] = {}
    for event in run.events:
        match event.payload:
            case StageStarted(at):
                for step in found.values():
                    # Text stages come before all outputs; outputs may be in work at once.
                    if step.is_open and step.output_index in (0, at.output_index):
                        step.end(event.time, RunState.SUCCEEDED, None)
                key = (at.stage, at.step, at.output_index)
                begun = found.setdefault(key, _Step(*key, started_at=event.time))
                begun.begin()
                latest[at.stage, at.output_index] = begun
            case EntityCommitted(sequence):
                entity = run.entity(sequence)
                home = latest.get((entity.draft.stage, entity.draft.output_index))
                if home is not None:
                    home.entities.append(entity)
            case OutputFinished(index):
                output = run.outputs[index - 1]
                for step in found.values():
                    if step.is_open and step.output_index == index:
                        step.end(event.time, output.state, output.error)
            case StateChanged(state, error) if state.is_final:
                # A part of a run fails in its outputs; the steps before them went well.
                status = RunState.SUCCEEDED if state is RunState.PARTIAL else state
                for step in found.values():
                    if step.is_open:
                        step.end(event.time, status, error)
    return list(found.values())


def _row(run: Run, step: _Step, number: int) -> StepExecution:
    output = run.outputs[step.output_index - 1] if step.output_index else None
    return StepExecution(
        number=number,
        stage=step.stage,
        step=step.step,
        output_index=step.output_index,
        output_config=output.config if output else None,
        pass_number=0,
        status=step.status,
        started_at=step.started_at,
        completed_at=step.completed_at,
        # Who begins anew may count attempts too; it is the same repetition.
        retry_count=max([step.starts, *(one.draft.attempt for one in step.entities)]) - 1,
        error=_reason(step.error),
        inputs=_names(run, _read_by(run, step)),
        outputs=_names(run, step.entities),
    )


def _passes(run: Run, step: _Step, row: StepExecution) -> list[StepExecution]:
    """The passes that are done, and the one in work or cut short, when the recipe has passes."""
    written: dict[int, list[Entity]] = {}
    refused = set()
    for entity in step.entities:
        if entity.draft.pass_number and entity.type is EntityType.INTERCEPTION_PASS:
            written.setdefault(entity.draft.pass_number, []).append(entity)
        elif entity.draft.pass_number and entity.type is EntityType.SAFETY:
            refused.add(entity.draft.pass_number)
    rules = _names(run, (one for one in run.entities if one.type in _RULES))
    began, inputs = row.started_at, row.inputs
    rows: list[StepExecution] = []
    for number, entities in sorted(written.items()):
        is_refused = number in refused and row.status is RunState.BLOCKED
        rows.append(
            replace(
                row,
                number=row.number + len(rows) + 1,
                pass_number=number,
                status=row.status if is_refused else RunState.SUCCEEDED,
                started_at=began,
                completed_at=entities[-1].created_at,
                retry_count=max(len(entities), *(one.draft.attempt for one in entities)) - 1,
                error=row.error if is_refused else None,
                inputs=inputs,
                outputs=_names(run, (e for e in step.entities if e.draft.pass_number == number)),
            )
        )
        # What a pass reads is what the one before it wrote.
        began, inputs = entities[-1].created_at, _names(run, entities[-1:]) + rules
    planned = run.expected_entities.count(EntityType.INTERCEPTION_PASS) if step.stage == 2 else 0
    if len(rows) < planned and not refused and row.status is not RunState.SUCCEEDED:
        last = replace(row, started_at=began, retry_count=0, inputs=inputs, outputs=())
        number = max(written, default=0) + 1
        rows.append(replace(last, number=row.number + len(rows) + 1, pass_number=number))
    return rows


def _read_by(run: Run, step: _Step) -> list[Entity]:
    # Stage 1 goes on from what was typed, 2 from the text and the rules, 3 and 4 from the text that
    # was made of them, or from what that was rewritten to for this output.
    if step.stage <= 1:
        return [one for one in run.entities if one.type in _TYPED]
    if step.stage == 2:
        text = _newest(run, EntityType.TRANSLATION) or _newest(run, EntityType.INPUT)
        rules = [one for one in run.entities if one.type in _RULES]
        return ([text] if text else []) + rules
    text = _newest(run, EntityType.MEDIA_PROMPT, step.output_index) or _newest(
        run, EntityType.INTERCEPTION
    )
    return [text] if text else []


def _newest(run: Run, entity_type: EntityType, output_index: int = 0) -> Entity | None:
    for one in reversed(run.entities):
        if one.type is entity_type and one.draft.output_index == output_index:
            return one
    return None


def _first(run: Run, state: RunState) -> datetime | None:
    for event in run.events:
        if isinstance(event.payload, StateChanged) and event.payload.state is state:
            return event.time
    return None


def _names(run: Run, entities: Iterable[Entity]) -> tuple[EntityName, ...]:
    return tuple(EntityName(run.run_id, one.sequence) for one in entities)


def _reason(error: RunError | None) -> str | None:
    return error.reason if error else None


def _milliseconds(start: datetime | None, end: datetime | None) -> int | None:
    if start is None or end is None:
        return None
    # The clock of the machine may have been set back meanwhile.
    return max(0, (end - start) // timedelta(milliseconds=1))
