"""The tracker's twin in memory: the same promises for as long as the object lives."""

from __future__ import annotations

from collections.abc import Sequence

from services.kit.ids import RunId
from services.recorder.domain.execution import RunExecution
from services.recorder.tracker.ports import ExecutionFilter, Tracked


class MemoryTracker:
    """See `services.recorder.tracker.ports.Tracker`. What it holds outlives `close`."""

    def __init__(self) -> None:
        self._stores: dict[str, dict[RunId, RunExecution]] = {}
        self._rows: dict[RunId, RunExecution] = {}

    def open(self, store_id: str) -> None:
        """See the rows of this store."""
        self._rows = self._stores.setdefault(store_id, {})

    def close(self) -> None:
        """Nothing is held open."""

    def interrupt(self) -> None:
        """Nothing takes long."""

    def write(self, executions: Sequence[RunExecution]) -> None:
        """Replace the rows of these runs."""
        self._rows.update((one.run_id, one) for one in executions)

    def remove(self, run_ids: Sequence[RunId]) -> None:
        """Remove the rows of these runs."""
        for run_id in run_ids:
            self._rows.pop(run_id, None)

    def tracked(self, after: RunId | None, size: int) -> list[Tracked]:
        """Return runs by their ids."""
        found = sorted(run_id for run_id in self._rows if after is None or run_id > after)
        return [Tracked(run_id, self._rows[run_id].status.is_final) for run_id in found[:size]]

    def find(self, run_id: RunId) -> RunExecution | None:
        """Return a run's row with its steps."""
        return self._rows.get(run_id)

    def newest(
        self, wanted: ExecutionFilter, size: int, before: RunExecution | None = None
    ) -> list[RunExecution]:
        """Return runs, newest first."""
        found = sorted(
            (
                one
                for one in self._rows.values()
                if _fits(one, wanted) and (before is None or _place(one) < _place(before))
            ),
            key=_place,
            reverse=True,
        )
        return found[:size]


def _place(one: RunExecution) -> tuple[object, ...]:
    return one.created_at, one.run_id


def _fits(one: RunExecution, wanted: ExecutionFilter) -> bool:
    return (
        wanted.status in (None, one.status)
        and wanted.config_name in (None, one.config_name)
        and wanted.safety_level in (None, one.safety_level)
        and wanted.error in (None, one.error)
        and (wanted.since is None or one.created_at >= wanted.since)
        and (wanted.until is None or one.created_at < wanted.until)
    )
