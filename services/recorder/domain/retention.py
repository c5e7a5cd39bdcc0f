"""Which runs are deleted because of their age, and when none is. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.kit.ids import RunId

# The brake: whatever went wrong, a pass leaves 19 of 20 runs, and people have time to notice.
MAX_SHARE = 0.05
# No machine runs this before it was written.
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
MAX_JUMP = timedelta(minutes=10)
# How long a clock that has jumped must run evenly before it is believed again.
SETTLING = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Aged:
    """A final run."""

    run_id: RunId
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """Both clocks at one moment; `elapsed` never jumps."""

    now: datetime
    elapsed: timedelta


def most_in_a_pass(runs: int) -> int:
    """How many of so many runs one pass may delete: 5 %, and one of even the fewest."""
    return max(1, int(runs * MAX_SHARE))


def plan_pass(
    final: Iterable[Aged],
    *,
    runs: int,
    now: datetime,
    keep_for: timedelta,
    is_kept: Callable[[RunId], bool],
) -> list[Aged]:
    """Return what to delete in one pass, the oldest first.

    Args:
        final: the final runs in question, in any order.
        runs: how many runs there are in all.
        now: the time of day, believed.
        keep_for: how long after its end a run stays at least.
        is_kept: whether a run stays whatever its age.
    """
    due = (one for one in final if one.finished_at <= now - keep_for and not is_kept(one.run_id))
    return heapq.nsmallest(most_in_a_pass(runs), due, key=lambda one: (one.finished_at, one.run_id))


class ClockWatch:
    """Whether the time of day can be believed."""

    def __init__(self, start: Reading) -> None:
        self._last = start
        self._believed_from = timedelta.min

    def doubt(self, reading: Reading, newest: datetime | None) -> str:
        """Return why not, empty when it can be; `newest` is the newest time in any record."""
        passed = reading.elapsed - self._last.elapsed
        jump = abs(reading.now - self._last.now - passed)
        self._last = reading
        if jump > MAX_JUMP:
            self._believed_from = reading.elapsed + SETTLING
        if reading.now < EARLIEST:
            return "the clock is before the year this was written"
        if newest is not None and reading.now < newest:
            return "the clock is before the newest run"
        if reading.elapsed < self._believed_from:
            return "the clock has jumped; it is believed after a day without a jump"
        return ""
