"""Counts over many runs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.recorder.domain.vocabulary import RunState

MAX_CONFIGS = 100
PERCENTS = (50, 90, 99)


@dataclass(frozen=True, slots=True)
class RunStats:
    """What is told of all runs that fit.

    `states` in the order of the states, `configs` most frequent first, at most 100. `durations_ms`
    are what 50, 90 and 99 % of the final runs did not exceed; None when none is final.
    `work_p50_ms` is that of 50 % without their time in line, of those that asked no person; None
    without any.
    """

    runs: int
    states: Sequence[tuple[RunState, int]]
    configs: Sequence[tuple[str, int]]
    durations_ms: tuple[int, int, int] | None
    entities: int
    size_bytes: int
    work_p50_ms: int | None = None


class Tally:
    """Counts groups of runs."""

    def __init__(self) -> None:
        self._states: Counter[RunState] = Counter()
        self._configs: Counter[str] = Counter()
        self._durations: list[int] = []
        self._work: list[int] = []
        self._entities = 0
        self._size_bytes = 0

    def add(
        self, state: RunState, config_name: str, *, runs: int, entities: int, size_bytes: int
    ) -> None:
        """Count runs of one state and configuration."""
        self._states[state] += runs
        self._configs[config_name] += runs
        self._entities += entities
        self._size_bytes += size_bytes

    def add_duration(self, milliseconds: int, work_ms: int | None = None) -> None:
        """Count how long a final run took, and was in work where that is known."""
        self._durations.append(milliseconds)
        if work_ms is not None:
            self._work.append(work_ms)

    def stats(self) -> RunStats:
        """Return what was counted."""
        durations = sorted(self._durations)
        p50, p90, p99 = (_percentile(durations, percent) for percent in PERCENTS)
        by_count = sorted(self._configs.items(), key=lambda one: (-one[1], one[0]))
        return RunStats(
            runs=self._states.total(),
            states=[(state, self._states[state]) for state in RunState if self._states[state]],
            configs=by_count[:MAX_CONFIGS],
            durations_ms=(p50, p90, p99) if durations else None,
            entities=self._entities,
            size_bytes=self._size_bytes,
            work_p50_ms=_percentile(sorted(self._work), 50) if self._work else None,
        )


def _percentile(ordered: Sequence[int], percent: int) -> int:
    # Nearest rank: a duration that was measured, never one between two.
    rank = -(-len(ordered) * percent // 100)
    return ordered[rank - 1] if ordered else 0
