"""What the recorder needs from a tracker: `sql` and its twin `memory`.

A tracker is a copy for whoever counts and compares: it can be made anew from the record at any
time, and nothing is ever answered from it. Methods block, and are called in one thread; only
`interrupt` comes from another one. What goes wrong arrives as Unavailable TRACKER_UNAVAILABLE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.kit.ids import RunId
from services.recorder.domain.execution import RunExecution
from services.recorder.domain.run import Run
from services.recorder.domain.vocabulary import RunState, SafetyLevel


@dataclass(frozen=True, slots=True)
class Tracked:
    """A run the tracker has rows of; settled if they can never change again."""

    run_id: RunId
    is_settled: bool


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which runs to list: created at `since` or later and before `until`; None: all the same."""

    status: RunState | None = None
    config_name: str | None = None
    safety_level: SafetyLevel | None = None
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None


EVERY_RUN = ExecutionFilter()


class Tracker(Protocol):
    """Rows of runs and their steps. Several stores may share one; each sees its own rows."""

    def open(self, store_id: str) -> None:
        """Connect and bring the tables up to date; from now on all calls are about this store."""
        ...

    def close(self) -> None:
        """Let go of it; may be opened again."""
        ...

    def interrupt(self) -> None:
        """Make a call that is under way fail soon. May come from any thread, at any time."""
        ...

    def write(self, executions: Sequence[RunExecution]) -> None:
        """Replace the rows of these runs, all or none.

        Raises FailedPrecondition TRACKER_REFUSED when one of them breaks a rule of the tables.
        """
        ...

    def remove(self, run_ids: Sequence[RunId]) -> None:
        """Remove every row of these runs; nothing happens when there is none."""
        ...

    def tracked(self, after: RunId | None, size: int) -> list[Tracked]:
        """Return up to `size` runs with rows, by their ids, those after `after`."""
        ...

    def find(self, run_id: RunId) -> RunExecution | None:
        """Return a run's row with its steps."""
        ...

    def newest(
        self, wanted: ExecutionFilter, size: int, before: RunExecution | None = None
    ) -> list[RunExecution]:
        """Return up to `size` runs with their steps, newest first, those older than `before`."""
        ...


class Record(Protocol):
    """What a tracker is made from: the recorder."""

    async def store_id(self) -> str:
        """Whose runs these are: one id for the life of a store, also after a move or a restore."""
        ...

    async def run_ids(self) -> Sequence[RunId]:
        """Every run there is now, in any order."""
        ...

    async def get_run(self, run_id: RunId) -> Run:
        """Return a run. Raises NotFound RUN_NOT_FOUND, DataLoss METADATA_CORRUPT."""
        ...
