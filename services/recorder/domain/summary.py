"""What a list tells of a run: the run without its entities and events, and what is counted of them.

Written and read with the same functions as metadata.json. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.recorder.domain.document import Document, model_document, run_document
from services.recorder.domain.entity import Entity, ModelUse
from services.recorder.domain.events import StateChanged
from services.recorder.domain.fields import MAX_INT64, Fields
from services.recorder.domain.questions import open_questions
from services.recorder.domain.reading import read_bare_run, read_model
from services.recorder.domain.run import Run
from services.recorder.domain.views import view
from services.recorder.domain.vocabulary import Audience, EntityType, RunState

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Summary:
    """A listed run.

    `run` has no entities, events and plan. `models_used` is what each audience may know of them.
    `work_ms` is the duration without the time in line; None of a run that is open, was never
    driven, or asked a person, who may have taken days.
    """

    run: Run
    entities: int
    events: int
    size_bytes: int
    models_used: Mapping[Audience, tuple[ModelUse, ...]]
    open_questions: tuple[int, ...]
    work_ms: int | None

    @property
    def duration_ms(self) -> int | None:
        """How long a final run took; None while it is open."""
        return _duration_ms(self.run.created_at, self.run.finished_at)


def summarize(run: Run) -> Summary:
    """Return what a list tells of a run."""
    return Summary(
        run=replace(run, entities=(), events=(), plan_document=""),
        entities=len(run.entities),
        events=len(run.events),
        size_bytes=sum(one.size_bytes for one in run.entities if not one.is_erased),
        models_used={audience: view(run, audience).models_used for audience in Audience},
        open_questions=open_questions(run),
        work_ms=_work_ms(run),
    )


def _work_ms(run: Run) -> int | None:
    if any(one.type is EntityType.QUESTION for one in run.entities):
        return None
    for event in run.events:
        if isinstance(event.payload, StateChanged) and event.payload.state is RunState.RUNNING:
            return _duration_ms(event.time, run.finished_at)
    return None


def _duration_ms(began: datetime, ended: datetime | None) -> int | None:
    # A clock that was set back is no reason for a negative duration.
    return None if ended is None else max(0, (ended - began) // _MILLISECOND)


def input_of(run: Run) -> tuple[Entity, Audience] | None:
    """Return what the person typed and who may see it at least; None when there is nothing yet."""
    for entity in run.entities:
        if entity.type is EntityType.INPUT:
            return entity, view(run, Audience.RESEARCH).least_audience(entity)
    return None


def summary_document(summary: Summary) -> Document:
    """Return the summary as a JSON object."""
    return {
        **run_document(summary.run, [], []),
        "entity_count": summary.entities,
        "event_count": summary.events,
        "size_bytes": summary.size_bytes,
        "models_by_audience": {
            audience.value: [model_document(one) for one in models]
            for audience, models in summary.models_used.items()
        },
        "open_questions": list(summary.open_questions),
        "work_ms": summary.work_ms,
    }


def read_summary(document: object) -> Summary:
    """Return the summary a document tells. Raises DocumentError."""
    fields = Fields(document)
    models = fields.object("models_by_audience")
    return Summary(
        run=read_bare_run(document),
        entities=fields.number("entity_count"),
        events=fields.number("event_count"),
        size_bytes=fields.number("size_bytes", most=MAX_INT64),
        models_used={
            audience: tuple(read_model(one) for one in models.objects(audience.value))
            for audience in Audience
        },
        open_questions=fields.numbers("open_questions", 1),
        work_ms=None if fields.get("work_ms") is None else fields.number("work_ms"),
    )
