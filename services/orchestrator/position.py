"""Where a run stands in line, and when it may be done by how long others like it took."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.kit.clock import Clock
from services.kit.ids import RunId
from services.orchestrator.claims import ClaimableRuns
from services.orchestrator.domain.run import RecordedRun
from services.orchestrator.ports import Recorder
from services.orchestrator.queue.fair import in_turn
from services.orchestrator.queue.view import QueueView

SEEN_SECONDS = 0.5
# What runs take changes slowly, and counting it is not for free.
HISTORY_SECONDS = 10.0
MAX_HISTORIES = 200


@dataclass(frozen=True, slots=True)
class Position:
    """Runs that come before it, and seconds; None where there is no history to tell from."""

    ahead: int
    wait_seconds: float | None = None
    total_seconds: float | None = None


class Positions:
    """Tells positions.

    Args:
        recorder: knows all runs.
        view: what waits.
        clock: time.
        seats: how many runs are driven at once, at least.
    """

    def __init__(self, recorder: Recorder, view: QueueView, clock: Clock, seats: int) -> None:
        self._recorder = recorder
        self._view = view
        self._clock = clock
        self._seats = seats
        self._histories: dict[tuple[str, str], tuple[float, float | None]] = {}

    async def of(self, run_id: RunId) -> Position:
        """Return where a run stands. Raises NotFound RUN_NOT_FOUND, Unavailable."""
        run = await self._recorder.get_run(run_id)
        if run.is_final:
            return Position(0, 0.0, 0.0)
        typical = await self._typical(run)
        waiting = await self._view.look(SEEN_SECONDS)
        if run.state == "pending" and all(one.run_id != run_id for one in waiting.runs):
            # It may have come after that look; it would seem to be in work.
            waiting = await self._view.look()
        return position(run, waiting, typical, self._now(), self._seats)

    def _now(self) -> datetime:
        return self._clock.now()

    async def _typical(self, run: RecordedRun) -> float | None:
        # Its slowest output decides: they are made beside one another.
        configs = sorted(set(run.output_configs))
        found = [await self._history(config, run.config_name) for config in configs]
        return max((seconds for seconds in found if seconds is not None), default=None)

    async def _history(self, output_config: str, config_name: str) -> float | None:
        key = output_config, config_name
        known = self._histories.get(key)
        if known is not None and self._clock.monotonic() - known[0] < HISTORY_SECONDS:
            return known[1]
        typical = (await self._recorder.history(output_config, config_name)).p50_seconds
        if typical is None:
            # No run of this recipe had such an output; those of others are near enough.
            typical = (await self._recorder.history(output_config)).p50_seconds
        if len(self._histories) >= MAX_HISTORIES:
            self._histories.clear()
        self._histories[key] = self._clock.monotonic(), typical
        return typical


def position(
    run: RecordedRun, waiting: ClaimableRuns, typical: float | None, now: datetime, seats: int
) -> Position:
    """Return where an open run stands.

    Args:
        run: as it is recorded.
        waiting: who waits, and who has how much in work.
        typical: seconds a run with its outputs takes from its start to its end; None without any.
        now: the time.
        seats: how many runs one process drives at once.
    """
    line = [one.run_id for one in in_turn(waiting)]
    if run.run_id not in line and run.state == "pending" and waiting.total > len(line):
        # Behind those that were read.
        line = [*line, run.run_id]
    if run.run_id not in line:
        # In work, or waiting for a person.
        age = (now - run.created).total_seconds()
        return Position(0, 0.0, None if typical is None else max(0.0, typical - age))
    ahead = line.index(run.run_id)
    if typical is None:
        return Position(ahead)
    # Several processes may drive: as many seats as are taken are known to be there.
    places = max(seats, sum(waiting.loads.values()))
    wait = 0.0 if sum(waiting.loads.values()) + ahead < places else typical * (1 + ahead // places)
    return Position(ahead, wait, wait + typical)
