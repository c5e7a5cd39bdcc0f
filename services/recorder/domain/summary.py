"""What a list tells of a run: the run without its entities and events, and what is counted of them.

Written and read with the same functions as metadata.json. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from services.recorder.domain.document import Document, model_document, run_document
from services.recorder.domain.entity import Entity, ModelUse
from services.recorder.domain.fields import MAX_INT64, Fields
from services.recorder.domain.questions import open_questions
from services.recorder.domain.reading import read_bare_run, read_model
from services.recorder.domain.run import Run
from services.recorder.domain.views import view
from services.recorder.domain.vocabulary import Audience, EntityType

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Summary:
    """A listed run.

    `run` has no entities, events and plan. `models_used` is what each audience may know of them.
    """

    run: Run
    entities: int
    events: int
    size_bytes: int
    models_used: Mapping[Audience, tuple[ModelUse, ...]]
    open_questions: tuple[int, ...]

    @property
    def duration_ms(self) -> int | None:
        """How long a final run took; None while it is open."""
        if self.run.finished_at is None:
            return None
        # A clock that was set back is no reason for a negative duration.
        return max(0, (self.run.finished_at - self.run.created_at) // _MILLISECOND)


def summarize(run: Run) -> Summary:
    """Return what a list tells of a run."""
    return Summary(
        run=replace(run, entities=(), events=(), plan_document=""),
        entities=len(run.entities),
        events=len(run.events),
        size_bytes=sum(one.size_bytes for one in run.entities if not one.is_erased),
        models_used={audience: view(run, audience).models_used for audience in Audience},
        open_questions=open_questions(run),
    )


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
    )
