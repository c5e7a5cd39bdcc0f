"""Runs that this process claimed as it created them, until somebody drives them."""

from __future__ import annotations

from collections import deque

from services.kit.ids import RunId
from services.orchestrator.queue.heart import Heart, HeldRun


class CreatedRuns:
    """They come first, in the order in which they were created."""

    def __init__(self, heart: Heart) -> None:
        self._heart = heart
        self._runs: deque[HeldRun] = deque()
        self._closed = False

    async def add(self, run_id: RunId, epoch: int) -> None:
        """Take one in; again changes nothing. Once closed, it is given back."""
        run = self._heart.hold(run_id, epoch)
        if self._closed:
            await run.release()
        elif not run.taken and run not in self._runs:
            self._runs.append(run)

    def next(self) -> HeldRun | None:
        """Return the next one, to be driven now."""
        return self._runs.popleft() if self._runs else None

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._runs)

    async def aclose(self) -> None:
        """Give back what nobody has begun to drive."""
        self._closed = True
        while self._runs:
            await self._runs.popleft().release()
