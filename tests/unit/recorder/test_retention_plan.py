"""Which runs a pass of retention deletes, and when it deletes none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.ids import RunId
from services.recorder.domain.retention import (
    EARLIEST,
    MAX_JUMP,
    MAX_SHARE,
    SETTLING,
    Aged,
    ClockWatch,
    Reading,
    most_in_a_pass,
    plan_pass,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEEP = timedelta(days=30)


def aged(number: int, days: float) -> Aged:
    return Aged(RunId(f"00000000-0000-4000-8000-{number:012}"), NOW - timedelta(days=days))


@given(
    st.lists(st.floats(0, 400), max_size=200),
    st.integers(0, 300),
    st.sets(st.integers(0, 199)),
)
def test_a_pass_takes_the_oldest_that_are_due_and_never_more_than_its_share(
    ages: list[float], others: int, kept: set[int]
) -> None:
    final = [aged(number, days) for number, days in enumerate(ages)]
    kept_ids = {aged(number, 0).run_id for number in kept}
    planned = plan_pass(
        final, runs=len(final) + others, now=NOW, keep_for=KEEP, is_kept=kept_ids.__contains__
    )
    due = [one for one in final if one.finished_at <= NOW - KEEP and one.run_id not in kept_ids]
    assert len(planned) == min(len(due), max(1, int((len(final) + others) * MAX_SHARE)))
    assert [one.finished_at for one in planned] == sorted(one.finished_at for one in due)[
        : len(planned)
    ]
    assert set(planned) <= set(due)


@pytest.mark.parametrize(
    ("runs", "most"), [(0, 1), (1, 1), (19, 1), (39, 1), (40, 2), (1000, 50), (100_000, 5000)]
)
def test_a_pass_is_one_run_at_least_and_one_in_twenty_at_most(runs: int, most: int) -> None:
    assert most_in_a_pass(runs) == most


def test_a_run_is_due_at_the_very_moment() -> None:
    run = aged(1, 30)
    for now, planned in ((NOW, [run]), (NOW - timedelta(microseconds=1), [])):
        assert plan_pass([run], runs=1, now=now, keep_for=KEEP, is_kept=lambda _: False) == planned


def reading(at: timedelta, jumped: timedelta = timedelta()) -> Reading:
    return Reading(NOW + at + jumped, at)


def test_an_even_clock_is_believed() -> None:
    watch = ClockWatch(reading(timedelta()))
    newest = NOW - timedelta(seconds=1)
    for hours in range(1, 100):
        assert watch.doubt(reading(timedelta(hours=hours)), newest) == ""


def test_small_corrections_are_no_jump() -> None:
    watch = ClockWatch(reading(timedelta()))
    for hours in range(1, 10):
        at = reading(timedelta(hours=hours), hours * MAX_JUMP / 2)
        assert watch.doubt(at, None) == ""


def test_a_clock_before_the_newest_run_is_not_believed() -> None:
    watch = ClockWatch(reading(timedelta()))
    assert "newest run" in watch.doubt(reading(timedelta(hours=1)), NOW + timedelta(hours=2))
    assert watch.doubt(reading(timedelta(hours=3)), NOW + timedelta(hours=2)) == ""


def test_a_clock_before_this_was_written_is_not_believed() -> None:
    watch = ClockWatch(Reading(EARLIEST - timedelta(days=20_000), timedelta()))
    at = Reading(EARLIEST - timedelta(days=20_000) + timedelta(hours=1), timedelta(hours=1))
    assert "written" in watch.doubt(at, None)


@pytest.mark.parametrize("days", [400, 1, -0.01, -400])
def test_a_clock_that_jumped_is_believed_again_after_a_day(days: float) -> None:
    watch = ClockWatch(reading(timedelta()))
    jumped = timedelta(days=days)
    newest = NOW - timedelta(days=500)
    hour = timedelta(hours=1)
    at = hour
    doubts = []
    while at <= SETTLING + 2 * hour:
        doubts.append(watch.doubt(reading(at, jumped), newest))
        at += hour
    assert all("jumped" in doubt or "written" in doubt for doubt in doubts[:24])
    if days > -100:
        assert doubts[-1] == ""


def test_a_clock_that_jumps_again_is_not_believed_for_another_day() -> None:
    watch = ClockWatch(reading(timedelta()))
    assert watch.doubt(reading(timedelta(hours=1), timedelta(days=9)), None)
    assert watch.doubt(reading(timedelta(hours=24), timedelta(days=-9)), None)
    assert watch.doubt(reading(timedelta(hours=26), timedelta(days=-9)), None)
    assert watch.doubt(reading(timedelta(hours=48), timedelta(days=-9)), None) == ""
