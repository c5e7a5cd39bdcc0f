"""How a run stands, for its steps. They note nothing here: what a step gives is tracked by itself.

The tables of docs/adr/0011 are made from the record, and this is read from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from services.kit.ids import RunId
from services.orchestrator.domain.run import RecordedRun


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands.

    Attributes:
        state: pending, running, or how it ended.
        stage: 1 to 4; 0 before the first one.
        entities: how many there are, by type.
        outputs: the state of each, by its index from 1.
        expected: types of the entities it will have when all goes well.
        waits: whether a person is asked.
    """

    state: str
    stage: int
    entities: Mapping[str, int]
    outputs: Mapping[int, str]
    expected: tuple[str, ...]
    waits: bool


class Tracker(Protocol):
    """The service `tracker` of steps."""

    async def standing(self, run_id: RunId) -> Standing:
        """Return how a run stands. Raises NotFound, Unavailable."""
        ...


class Runs(Protocol):
    """What knows the record."""

    async def get_run(self, run_id: RunId) -> RecordedRun:
        """Return one run. Raises NotFound."""
        ...


class RecordTracker:
    """Implements Tracker over the record."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def standing(self, run_id: RunId) -> Standing:
        """Read the record."""
        run = await self._runs.get_run(run_id)
        return Standing(
            state=run.state,
            stage=run.stage,
            entities=Counter(entity.type for entity in run.entities),
            outputs={output.index: output.state for output in run.outputs},
            expected=run.expected_entities,
            waits=bool(run.open_questions),
        )
