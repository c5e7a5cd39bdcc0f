"""What waits and who has how much in work, read from the recorder as seldom as possible."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from services.kit.clock import Clock
from services.kit.ids import RunId
from services.orchestrator.claims import ClaimableRuns, Claims

# The recorder's largest page. Who waits behind so many is seen when it is shorter.
PAGE = 1000


class QueueView:
    """The last look at the line, and what this process has added to it since."""

    def __init__(self, claims: Claims, clock: Clock) -> None:
        self._claims = claims
        self._clock = clock
        self._seen: ClaimableRuns | None = None
        self._at = 0.0
        self._since: Counter[str] = Counter()
        self._queued = 0
        self._one = asyncio.Lock()

    async def look(self, max_age_seconds: float = 0.0) -> ClaimableRuns:
        """Return what waits, no older than asked for. Raises ArtlabError."""
        asked = self._clock.monotonic()
        fresh = self._fresh(asked - max_age_seconds)
        if fresh is not None:
            return fresh
        async with self._one:
            # Whoever had the lock may have looked after we asked.
            fresh = self._fresh(asked - max_age_seconds)
            return fresh if fresh is not None else await self._look()

    @property
    def has_line(self) -> bool:
        """Whether runs wait for a seat, as far as is known."""
        return self._queued > 0 or (self._seen is not None and bool(self._seen.runs))

    def queued(self) -> None:
        """Note a run that is to wait, and came after the last look."""
        self._queued += 1

    def added(self, user_id: str) -> None:
        """Count a run that came after the last look."""
        self._since[user_id] += 1

    def withdrawn(self, user_id: str) -> None:
        """Count a run no longer that was added."""
        self._since.subtract([user_id] if self._since[user_id] else [])

    def taken(self, run_id: RunId, user_id: str) -> None:
        """Count a run that was claimed here after the last look as in work."""
        seen = self._seen
        if seen is not None:
            loads = Counter(seen.loads)
            loads.update([user_id] if user_id else [])
            self._seen = replace(seen, loads=loads)
            self.gone(run_id)

    def gone(self, run_id: RunId) -> None:
        """Leave out a run that turned out not to wait any more."""
        seen = self._seen
        if seen is not None:
            runs = tuple(run for run in seen.runs if run.run_id != run_id)
            left_out = len(seen.runs) - len(runs)
            self._seen = replace(seen, runs=runs, total=seen.total - left_out)

    def user_of(self, run_id: RunId) -> str:
        """Whose run it is; empty for one that did not wait at the last look."""
        runs = () if self._seen is None else self._seen.runs
        return next((run.user_id for run in runs if run.run_id == run_id), "")

    def open_runs(self, user_id: str | None = None) -> int:
        """How many runs wait or are in work, of one person or of all, as far as is known."""
        seen = self._seen
        if user_id is None:
            known = 0 if seen is None else seen.total + sum(seen.loads.values())
            return known + self._since.total()
        known = 0
        if seen is not None:
            known = seen.loads.get(user_id, 0) + sum(run.user_id == user_id for run in seen.runs)
        return known + self._since[user_id]

    def _fresh(self, not_before: float) -> ClaimableRuns | None:
        return self._seen if self._seen is not None and self._at >= not_before else None

    async def _look(self) -> ClaimableRuns:
        began, before, queued = self._clock.monotonic(), self._since.copy(), self._queued
        seen = await self._claims.claimable(PAGE)
        self._seen, self._at = seen, began
        self._since -= before
        self._queued -= queued
        return seen
