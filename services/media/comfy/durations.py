"""What jobs take from begin to end, learned by workflow."""

from __future__ import annotations

import statistics
from collections import deque

from services.kit.clock import Clock
from services.media.comfy.seats import Seat

REMEMBERED_JOBS = 21
# Of a workflow that was not made yet.
UNKNOWN_SECONDS = 10.0


class Durations:
    """Told of every change of a seat; remembers the last jobs of each workflow."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: dict[Seat, float] = {}
        self._known: dict[str, deque[float]] = {}

    def see(self, seat: Seat) -> None:
        """Take in that a job has begun, or is over."""
        now = self._clock.monotonic()
        if not seat.released:
            self._began[seat] = now
        elif (began := self._began.pop(seat, None)) is not None:
            kept = deque[float](maxlen=REMEMBERED_JOBS)
            self._known.setdefault(seat.workflow, kept).append(now - began)

    def usual_seconds(self, workflow: str) -> float:
        """The median of a workflow's last jobs; 10 s when there were none."""
        known = self._known.get(workflow)
        return statistics.median(known) if known else UNKNOWN_SECONDS
