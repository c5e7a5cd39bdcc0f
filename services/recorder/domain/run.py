"""A run and everything that may happen to it, as pure functions from run to run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from services.kit.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from services.kit.ids import RunId
from services.recorder.domain.claim import Claimant
from services.recorder.domain.entity import Entity, EntityDraft, ModelUse, filename_of
from services.recorder.domain.events import (
    EntityCommitted,
    OutputFinished,
    Payload,
    Progress,
    RunEvent,
    StageStarted,
    StateChanged,
)
from services.recorder.domain.media_type import EXTENSIONS
from services.recorder.domain.outcome import Output, RunError, check_outcome, state_at_end
from services.recorder.domain.plan import Parent, Plan
from services.recorder.domain.vocabulary import EntityType, ExecutionMode, RunState, SafetyLevel

MAX_ENTITIES = 10_000
MAX_EVENTS = 50_000


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a run stands in the list of all runs; greater is newer."""

    created_at: datetime
    run_id: RunId


class Position(NamedTuple):
    """Where a run stands in its pipeline: stage 0 to 4, step, output from 1 or 0 for none."""

    stage: int
    step: str
    output_index: int


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of the pipeline, as metadata.json tells it."""

    run_id: RunId
    state: RunState
    config_name: str
    safety_level: SafetyLevel
    execution_mode: ExecutionMode
    user_id: str
    seed: int
    created_at: datetime
    deadline: datetime
    request_digest: str
    expected_entities: tuple[EntityType, ...]
    outputs: tuple[Output, ...]
    stage: int = 0
    step: str = ""
    output_index: int = 0
    entities: tuple[Entity, ...] = ()
    events: tuple[RunEvent, ...] = ()
    models_used: tuple[ModelUse, ...] = ()
    finished_at: datetime | None = None
    error: RunError | None = None
    parent: Parent | None = None
    plan_document: str = ""
    # Who claimed it as it was created, under epoch 1; later claims are not part of the record.
    creator: Claimant | None = None

    @classmethod
    def create(
        cls,
        run_id: RunId,
        plan: Plan,
        now: datetime,
        deadline: datetime,
        creator: Claimant | None = None,
    ) -> Run:
        """A new run in state PENDING, with its first event; claimed by its creator if given."""
        run = cls(
            run_id=run_id,
            state=RunState.PENDING,
            config_name=plan.config_name,
            safety_level=plan.safety_level,
            execution_mode=plan.execution_mode,
            user_id=plan.user_id,
            seed=plan.seed,
            created_at=now,
            deadline=deadline,
            request_digest=plan.digest(),
            expected_entities=plan.expected_entities,
            outputs=plan.outputs,
            parent=plan.parent,
            plan_document=plan.document,
            creator=creator,
        )
        return run.told(now, StateChanged(RunState.PENDING, None))

    @property
    def place(self) -> Place:
        """Where it stands in the list."""
        return Place(self.created_at, self.run_id)

    @property
    def is_final(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.state.is_final

    @property
    def last_event_seq(self) -> int:
        """Number of the newest event."""
        return len(self.events)

    @property
    def progress(self) -> Progress:
        """Where it stands; completed never exceeds expected."""
        return Progress(
            stage=self.stage,
            step=self.step,
            output_index=self.output_index,
            completed=len(self.entities),
            expected=len(self.expected_entities),
        )

    def entity(self, sequence: int) -> Entity:
        """Return an entity. Raises NotFound ENTITY_NOT_FOUND."""
        if not 1 <= sequence <= len(self.entities):
            raise NotFound("ENTITY_NOT_FOUND", "the run has no such entity")
        return self.entities[sequence - 1]

    def entity_of_upload(self, upload_id: str) -> Entity | None:
        """Return what an upload became, None if it is not complete."""
        # From the end, because what is asked again was usually just written.
        for entity in reversed(self.entities):
            if entity.upload_id == upload_id:
                return entity
        return None

    def at(self, stage: int, step: str, output_index: int, now: datetime) -> Run:
        """The run at this position; the same run when it stands there already.

        Raises FailedPrecondition RUN_FINAL, InvalidArgument OUTPUT_UNKNOWN.
        """
        self.check_open()
        self.check_output(output_index, "output_index")
        moved = (stage, step, output_index) != (self.stage, self.step, self.output_index)
        if self.state is RunState.RUNNING and not moved:
            return self
        run = self
        if run.state is RunState.PENDING:
            run = replace(run, state=RunState.RUNNING)
            run = run.told(now, StateChanged(RunState.RUNNING, None))
        if moved:
            run = replace(run, stage=stage, step=step, output_index=output_index)
            if output_index and run.outputs[output_index - 1].state is RunState.PENDING:
                begun = replace(run.outputs[output_index - 1], state=RunState.RUNNING)
                run = run._with_output(begun)
            run = run.told(now, StageStarted(run.progress))
        return run

    def next_entity(
        self,
        draft: EntityDraft,
        upload_id: str,
        *,
        media_type: str,
        size_bytes: int,
        sha256: str,
        now: datetime,
    ) -> Entity:
        """The entity these bytes become if nothing else is committed first.

        Raises FailedPrecondition RUN_FINAL, OUTPUT_FINAL, InvalidArgument OUTPUT_UNKNOWN,
        ResourceExhausted RUN_TOO_LARGE.
        """
        self.check_takes(draft)
        if len(self.entities) >= MAX_ENTITIES:
            raise ResourceExhausted("RUN_TOO_LARGE", f"at most {MAX_ENTITIES} entities a run")
        sequence = len(self.entities) + 1
        return Entity(
            draft=draft,
            sequence=sequence,
            filename=filename_of(sequence, draft.type, EXTENSIONS[media_type]),
            created_at=now,
            media_type=media_type,
            size_bytes=size_bytes,
            sha256=sha256,
            upload_id=upload_id,
        )

    def with_entity(self, entity: Entity) -> Run:
        """The run with its next entity; an entity nobody expected is expected from now on."""
        if entity.sequence != len(self.entities) + 1:
            raise ValueError("entities are committed in order")
        expected = self.expected_entities
        present = sum(1 for one in self.entities if one.type is entity.type) + 1
        if present > expected.count(entity.type):
            expected = (*expected, entity.type)
        new_models = dict.fromkeys(
            use for use in entity.draft.models_used if use not in self.models_used
        )
        run = replace(
            self,
            entities=(*self.entities, entity),
            expected_entities=expected,
            models_used=(*self.models_used, *new_models),
        )
        return run.told(entity.created_at, EntityCommitted(entity.sequence))

    def with_final_output(
        self, index: int, state: RunState, error: RunError | None, now: datetime
    ) -> Run:
        """The run with this output final; the same run when it was final already.

        Raises NotFound OUTPUT_NOT_FOUND; FailedPrecondition OUTPUT_HAS_NO_ENTITY, because
        success means recorded bytes.
        """
        if not 1 <= index <= len(self.outputs):
            raise NotFound("OUTPUT_NOT_FOUND", "the run has no such output")
        output = self.outputs[index - 1]
        if output.state.is_final:
            return self
        self.check_open()
        if state is RunState.SUCCEEDED and not any(
            one.type.is_output and one.draft.output_index == index and not one.is_erased
            for one in self.entities
        ):
            raise FailedPrecondition(
                "OUTPUT_HAS_NO_ENTITY", "an output succeeds once its bytes are recorded"
            )
        run = self._with_output(replace(output, state=state, error=error))
        return run.told(now, OutputFinished(index))

    def finalized(self, state: RunState, error: RunError | None, now: datetime) -> Run:
        """The run in a final state; the same run when it was final already.

        Outputs still open end as their run does. Raises FailedPrecondition OUTPUTS_DISAGREE.
        """
        if self.is_final:
            return self
        check_outcome(state, self.outputs)
        run = self
        for output in self.outputs:
            if not output.state.is_final:
                end = state_at_end(state)
                why = None if end is RunState.CANCELLED else error
                run = run._with_output(replace(output, state=end, error=why))
                run = run.told(now, OutputFinished(output.index), room=False)
        run = replace(run, state=state, error=error, finished_at=now)
        return run.told(now, StateChanged(state, error), room=False)

    def check_open(self) -> None:
        """Raise FailedPrecondition RUN_FINAL when the run is final."""
        if self.is_final:
            raise FailedPrecondition("RUN_FINAL", "the run is final and never changes")

    def check_output(self, output_index: int, field: str) -> None:
        """Raise InvalidArgument OUTPUT_UNKNOWN when the plan has no such output; 0 is none."""
        if output_index > len(self.outputs):
            raise InvalidArgument(
                "OUTPUT_UNKNOWN", f"the run has {len(self.outputs)} outputs", field=field
            )

    def check_takes(self, draft: EntityDraft) -> None:
        """Raise unless such an entity may be added.

        FailedPrecondition RUN_FINAL, OUTPUT_FINAL; InvalidArgument OUTPUT_UNKNOWN.
        """
        self.check_open()
        self.check_output(draft.output_index, "entity.output_index")
        if not (draft.type.is_output and draft.output_index):
            return
        if self.outputs[draft.output_index - 1].state is RunState.SUCCEEDED:
            # All of it may be seen by now, because all of it was checked.
            raise FailedPrecondition("OUTPUT_FINAL", "the output has succeeded as it is")

    def _with_output(self, output: Output) -> Run:
        before, after = self.outputs[: output.index - 1], self.outputs[output.index :]
        return replace(self, outputs=(*before, output, *after))

    def told(self, now: datetime, payload: Payload, *, room: bool = True) -> Run:
        """The run with its next event. Raises ResourceExhausted RUN_TOO_LARGE if `room` matters."""
        # A full run must still be able to end.
        if room and len(self.events) >= MAX_EVENTS:
            raise ResourceExhausted("RUN_TOO_LARGE", f"at most {MAX_EVENTS} events a run")
        event = RunEvent(seq=len(self.events) + 1, time=now, payload=payload)
        return replace(self, events=(*self.events, event))


def run_deleted() -> FailedPrecondition:
    """What is said to whoever wants to make a run of an id that was deleted."""
    return FailedPrecondition("RUN_DELETED", "a run of this id was deleted")
