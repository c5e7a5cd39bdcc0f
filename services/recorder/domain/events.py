"""The facts of a run, in order. Pure.

A fact about an entity or an output names it; the thing itself stands in the run and never
changes after the fact.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.recorder.domain.outcome import RunError
from services.recorder.domain.vocabulary import RunState


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the pipeline stands."""

    stage: int
    step: str
    output_index: int
    completed: int
    expected: int


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The run moved to another state."""

    state: RunState
    error: RunError | None


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage or a step of it began."""

    progress: Progress


@dataclass(frozen=True, slots=True)
class EntityCommitted:
    """The entity of this sequence became durable."""

    sequence: int


@dataclass(frozen=True, slots=True)
class OutputFinished:
    """The output of this index is final."""

    index: int


Payload = StateChanged | StageStarted | EntityCommitted | OutputFinished


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One fact; seq from 1 without gaps."""

    seq: int
    time: datetime
    payload: Payload
