"""What earlier jobs took, and what is left of this one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.media.comfy.timeline import Timeline
from services.media.domain.pace import (
    MAX_WORKFLOWS,
    REMEMBERED_RUNS,
    NodeTime,
    Pace,
    Paces,
    remaining_seconds,
)


def test_without_a_run_nothing_is_known() -> None:
    pace, paces = Pace(), Paces()
    assert not pace
    assert pace.seconds("3") is None
    assert paces.typical_seconds is None


def test_the_median_of_recent_runs_counts_and_steps_are_multiplied() -> None:
    pace = Pace()
    for seconds in (2.0, 4.0, 100.0):
        pace.add({"3": NodeTime(seconds, steps=4), "8": NodeTime(1.0)})
    assert pace.seconds("3") == 4.0
    assert pace.seconds("3", steps=8) == 8.0
    assert pace.seconds("9") is None


def test_old_runs_and_workflows_are_forgotten() -> None:
    paces = Paces()
    for _ in range(REMEMBERED_RUNS):
        paces.add("slow", {"3": NodeTime(100.0)})
    for _ in range(REMEMBERED_RUNS):
        paces.add("slow", {"3": NodeTime(1.0)})
    assert paces.of("slow").seconds("3") == 1.0
    for number in range(MAX_WORKFLOWS):
        paces.of(f"other {number}")
    assert not paces.of("slow")


def test_remaining_time_is_the_usual_one_at_first_and_the_own_pace_later() -> None:
    assert remaining_seconds(10.0, 0.0, 0.0) == 10.0
    # Twice as slow as usual: half of it is left, 10 s were spent on the first half.
    assert 5.0 < remaining_seconds(10.0, 10.0, 0.5) < 10.0
    assert remaining_seconds(10.0, 18.0, 0.9) == pytest.approx(1.9)
    assert remaining_seconds(10.0, 99.0, 1.0) == 0.0


@given(
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.floats(0, 1),
)
def test_remaining_time_is_never_negative(usual: float, elapsed: float, fraction: float) -> None:
    assert remaining_seconds(usual, elapsed, fraction) >= 0.0


def test_a_timeline_with_a_gap_tells_nothing() -> None:
    timeline = Timeline()
    timeline.enter("8", 1.0)
    timeline.enter("", 2.0)
    assert timeline.times({"8"}) is None, "its begin was not seen"
    timeline.begin(0.0)
    assert timeline.times({"3", "8"}) is None, "node 3 was not seen"
    assert timeline.times({"8", "8.0.1"}) == {"8": NodeTime(1.0)}


def test_what_a_sampler_waits_before_its_first_step_is_told_from_its_steps() -> None:
    timeline = Timeline()
    timeline.begin(0.0)
    timeline.enter("3", 10.0)
    for step, now in ((0, 10.0), (1, 17.0), (2, 18.0), (2, 18.5), (3, 19.0), (4, 20.0)):
        timeline.step("3", step, 4, now)
    timeline.enter("", 20.0)
    assert timeline.times({"3"}) == {"3": NodeTime(10.0, steps=4)}
    assert timeline.before_first_step("3") == pytest.approx(6.0)
    assert timeline.before_first_step("8") == 0.0
