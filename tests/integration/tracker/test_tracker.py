"""What every tracker does: in memory, in SQLite, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from services.kit.errors import Unavailable
from services.recorder.domain.vocabulary import RunState, SafetyLevel
from services.recorder.tracker.choice import tracker_of
from services.recorder.tracker.ports import EVERY_RUN, ExecutionFilter, Tracked, Tracker
from tests.integration.tracker.conftest import Opener
from tests.integration.tracker.courses import failed, of_number, partial, running, succeeded
from tests.unit.recorder.test_execution import NOW, Course


@pytest.mark.parametrize("course", [running, succeeded, partial, failed])
def test_what_was_written_is_found_as_it_was(
    tracker: Tracker, course: Callable[[], Course]
) -> None:
    one = of_number(1, course())
    tracker.write([one])
    assert tracker.find(one.run_id) == one


def test_writing_a_run_twice_leaves_the_rows_of_the_second_time(tracker: Tracker) -> None:
    early, late = of_number(1, running()), of_number(1, failed())
    other = of_number(2, succeeded())
    tracker.write([early, other])
    tracker.write([late])
    tracker.write([late])
    assert tracker.find(late.run_id) == late
    assert tracker.find(other.run_id) == other
    assert len(tracker.newest(EVERY_RUN, 10)) == 2


def test_what_was_removed_is_gone_with_its_steps(tracker: Tracker) -> None:
    one, other = of_number(1, succeeded()), of_number(2, succeeded())
    tracker.write([one, other])
    tracker.remove([one.run_id])
    tracker.remove([one.run_id])
    assert tracker.find(one.run_id) is None
    assert tracker.newest(EVERY_RUN, 10) == [other]
    tracker.write([one])
    assert tracker.find(one.run_id) == one


def test_nothing_to_write_and_nothing_to_remove_is_nothing(tracker: Tracker) -> None:
    tracker.write([])
    tracker.remove([])
    assert tracker.newest(EVERY_RUN, 10) == []


def test_runs_are_listed_newest_first_in_pages_without_gap_or_repeat(tracker: Tracker) -> None:
    all_of_them = [of_number(number, partial()) for number in range(1, 8)]
    tracker.write(all_of_them[3:])
    tracker.write(all_of_them[:3])
    first = tracker.newest(EVERY_RUN, 3)
    second = tracker.newest(EVERY_RUN, 3, first[-1])
    third = tracker.newest(EVERY_RUN, 3, second[-1])
    assert [*first, *second, *third] == all_of_them[::-1]
    assert tracker.newest(EVERY_RUN, 3, third[-1]) == []


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (EVERY_RUN, [4, 3, 2, 1]),
        (ExecutionFilter(status=RunState.SUCCEEDED), [2]),
        (ExecutionFilter(error="MEDIA_UNAVAILABLE"), [4]),
        (ExecutionFilter(config_name="dada"), [4, 3, 2, 1]),
        (ExecutionFilter(config_name="bauhaus"), []),
        (ExecutionFilter(safety_level=SafetyLevel.KIDS), []),
        (ExecutionFilter(safety_level=SafetyLevel.YOUTH, status=RunState.RUNNING), [1]),
        (ExecutionFilter(since=NOW + timedelta(minutes=3)), [4, 3]),
        (ExecutionFilter(until=NOW + timedelta(minutes=3)), [2, 1]),
        (
            ExecutionFilter(
                # The same moment, told elsewhere.
                until=(NOW + timedelta(minutes=3)).astimezone(timezone(timedelta(hours=5)))
            ),
            [2, 1],
        ),
    ],
)
def test_runs_are_listed_by_what_is_asked_for(
    tracker: Tracker, wanted: ExecutionFilter, numbers: list[int]
) -> None:
    courses = [running(), succeeded(), partial(), failed()]
    written = [of_number(number, one) for number, one in enumerate(courses, start=1)]
    tracker.write(written)
    assert tracker.newest(wanted, 10) == [written[number - 1] for number in numbers]


def test_tracked_runs_come_in_pages_and_say_what_is_settled(tracker: Tracker) -> None:
    written = [of_number(n, running() if n == 2 else succeeded()) for n in range(1, 6)]
    tracker.write(written)
    pages = [tracker.tracked(None, 2)]
    while pages[-1]:
        pages.append(tracker.tracked(pages[-1][-1].run_id, 2))
    assert [one for page in pages for one in page] == [
        Tracked(one.run_id, is_settled=one.status.is_final) for one in written
    ]


def test_a_store_sees_and_removes_its_own_rows_only(trackers: Opener) -> None:
    tracker = trackers()
    mine, same_run_elsewhere = of_number(1, succeeded()), of_number(1, failed())
    tracker.open("store-a")
    tracker.write([mine])
    tracker.open("store-b")
    assert (tracker.tracked(None, 10), tracker.find(mine.run_id)) == ([], None)
    tracker.write([same_run_elsewhere])
    assert tracker.newest(EVERY_RUN, 10) == [same_run_elsewhere]
    tracker.remove([mine.run_id])
    tracker.open("store-a")
    assert tracker.newest(EVERY_RUN, 10) == [mine]
    tracker.close()


def test_rows_outlive_the_one_who_wrote_them(trackers: Opener) -> None:
    one = of_number(1, partial())
    first = trackers()
    first.open("store-a")
    first.write([one])
    first.close()
    second = trackers()
    second.open("store-a")
    assert second.find(one.run_id) == one
    second.close()


def test_a_tracker_that_is_not_open_says_so(setting: str, tmp_path: Path) -> None:
    tracker = tracker_of(setting, tmp_path / "executions.sqlite")
    assert tracker is not None
    with pytest.raises(Unavailable, match="TRACKER_UNAVAILABLE"):
        tracker.tracked(None, 1)
