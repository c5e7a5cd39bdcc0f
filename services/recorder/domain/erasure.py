"""Erasing: the bytes of an entity go, what they were stays in the record. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.kit.errors import FailedPrecondition
from services.recorder.domain.events import EntityErased
from services.recorder.domain.run import Run


def with_erased(run: Run, sequence: int, reason: str, now: datetime) -> Run:
    """The run with this entity erased; the same run when it was erased already.

    Raises NotFound ENTITY_NOT_FOUND, FailedPrecondition RUN_FINAL.
    """
    entity = run.entity(sequence)
    if entity.is_erased:
        return run
    run.check_open()
    before, after = run.entities[: sequence - 1], run.entities[sequence:]
    run = replace(run, entities=(*before, replace(entity, erased_at=now), *after))
    # What nobody may see has to go also from a run that is full.
    return run.told(now, EntityErased(sequence, reason), room=False)


def entity_erased() -> FailedPrecondition:
    """What is said to whoever wants bytes that were erased."""
    return FailedPrecondition("ENTITY_ERASED", "its bytes were erased; the record says what it was")
