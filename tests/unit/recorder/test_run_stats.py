"""Counts over many runs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.recorder.domain.stats import MAX_CONFIGS, Tally
from services.recorder.domain.vocabulary import RunState


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=300))
def test_a_percentile_is_a_duration_that_enough_runs_did_not_exceed(durations: list[int]) -> None:
    tally = Tally()
    for milliseconds in durations:
        tally.add_duration(milliseconds)
    found = tally.stats().durations_ms
    assert found is not None
    for percent, duration in zip((50, 90, 99), found, strict=True):
        assert duration in durations
        within = sum(1 for one in durations if one <= duration)
        below = sum(1 for one in durations if one < duration)
        assert within * 100 >= percent * len(durations)
        assert below * 100 < percent * len(durations)


def test_at_most_a_hundred_configurations_are_told_the_most_frequent_first() -> None:
    tally = Tally()
    for number in range(MAX_CONFIGS + 20):
        tally.add(RunState.FAILED, f"c{number:03}", runs=number // 2, entities=0, size_bytes=0)
    configs = tally.stats().configs
    assert len(configs) == MAX_CONFIGS
    assert configs[:3] == [("c118", 59), ("c119", 59), ("c116", 58)]
