"""What tells that a run ends, or waits for somebody. Pure."""

from __future__ import annotations

from services.recorder.domain.events import EntityCommitted, RunEvent, StateChanged
from services.recorder.domain.run import Run
from services.recorder.domain.vocabulary import EntityType

_PEOPLES = frozenset({EntityType.QUESTION, EntityType.DECISION})


def is_turn(run: Run, event: RunEvent | None) -> bool:
    """Whether a fact of this run is one of those; None, which stands for a hint, is not."""
    match event and event.payload:
        case StateChanged():
            return True
        case EntityCommitted(sequence):
            return run.entity(sequence).type in _PEOPLES
    return False
