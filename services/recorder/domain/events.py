"""The facts of a run, in order. Pure.

A fact about an entity or an output names it; the thing itself stands in the run. It does not change
after the fact, except that an entity may be erased, which is a fact of its own.
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


@dataclass(frozen=True, slots=True)
class RunWarning:
    """Something a person should know that ends nothing.

    `output_index` is the output it is about, 0 the whole run; the message never holds user text.
    """

    reason: str
    message: str
    output_index: int


@dataclass(frozen=True, slots=True)
class EntityErased:
    """The bytes of the entity of this sequence are gone."""

    sequence: int
    reason: str


Payload = StateChanged | StageStarted | EntityCommitted | OutputFinished | RunWarning | EntityErased


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One fact; seq from 1 without gaps."""

    seq: int
    time: datetime
    payload: Payload
