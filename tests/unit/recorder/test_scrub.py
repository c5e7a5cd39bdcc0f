"""What the scrubber remembers, and how fast it may go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.ids import RunId
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.scrub import (
    MAX_DAMAGES,
    MAX_SHARE,
    Damages,
    Pace,
    ScrubState,
    read_scrub,
    scrub_document,
)

NOW = datetime(2026, 6, 1, 12, 30, 15, 123456, tzinfo=UTC)
WEEK = 7 * 86400.0


def run_id(number: int) -> RunId:
    return RunId(f"00000000-0000-4000-8000-{number:012}")


def test_damage_is_new_once() -> None:
    damages = Damages()
    assert [one.message for one in damages.looked_at(run_id(1), ["a", "b"], NOW)] == ["a", "b"]
    later = NOW + timedelta(days=7)
    assert [one.message for one in damages.looked_at(run_id(1), ["b", "c"], later)] == ["c"]
    assert [(one.message, one.found_at) for one in damages.newest_first()] == [
        ("c", later),
        ("b", NOW),
    ]


def test_damage_that_is_gone_is_forgotten() -> None:
    damages = Damages()
    damages.looked_at(run_id(1), ["a"], NOW)
    damages.looked_at(run_id(2), ["a"], NOW)
    damages.looked_at(run_id(1), [], NOW)
    assert [one.run_id for one in damages.newest_first()] == [run_id(2)]


def test_of_too_much_damage_the_oldest_is_forgotten() -> None:
    damages = Damages()
    for number in range(MAX_DAMAGES + 5):
        damages.looked_at(run_id(number), ["a"], NOW)
    known = damages.newest_first()
    assert len(known) == MAX_DAMAGES
    assert (known[0].run_id, known[-1].run_id) == (run_id(MAX_DAMAGES + 4), run_id(5))


def test_a_state_is_read_as_it_was_written() -> None:
    damages = Damages()
    damages.looked_at(run_id(1), ["a", "b"], NOW)
    damages.looked_at(run_id(2), ["a"], NOW + timedelta(seconds=1))
    state = ScrubState(NOW, run_id(7).value, 12, NOW - timedelta(days=7), damages)
    again = read_scrub(orjson.loads(orjson.dumps(scrub_document(state))))
    assert scrub_document(again) == scrub_document(state)
    assert again.damages.newest_first() == damages.newest_first()
    assert scrub_document(read_scrub(scrub_document(ScrubState()))) == scrub_document(ScrubState())


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=4))
def test_no_value_in_a_kept_state_crashes_the_reader(value: object) -> None:
    for key in scrub_document(ScrubState()):
        try:
            read_scrub(scrub_document(ScrubState()) | {key: value})
        except DocumentError:
            continue


@pytest.mark.parametrize(
    ("started", "finished", "is_walking", "is_due"),
    [
        (None, None, False, True),
        (timedelta(), None, True, False),
        (timedelta(days=-8), timedelta(days=-9), True, False),  # goes on, however late
        (timedelta(days=-8), timedelta(days=-7), False, True),
        (timedelta(days=-6), timedelta(days=-5), False, False),
        (timedelta(days=900), timedelta(days=901), False, True),  # the clock was set back
    ],
)
def test_a_walk_is_due_when_the_last_one_began_long_enough_ago(
    started: timedelta | None, finished: timedelta | None, is_walking: bool, is_due: bool
) -> None:
    state = ScrubState(
        started_at=None if started is None else NOW + started,
        finished_at=None if finished is None else NOW + finished,
    )
    assert state.is_walking is is_walking
    assert state.is_due(NOW, WEEK) is is_due


@given(
    st.lists(st.tuples(st.integers(0, 2**20), st.floats(0, 2)), min_size=1, max_size=50),
    st.floats(1, 1e9),
)
def test_neither_bytes_nor_time_pass_their_limit(
    steps: list[tuple[int, float]], bytes_per_second: float
) -> None:
    pace = Pace(bytes_per_second)
    total = sum(took + pace.rest_seconds(size, took) for size, took in steps)
    assert sum(size for size, _ in steps) <= total * bytes_per_second * 1.000001 + 1e-6
    assert sum(took for _, took in steps) <= total * MAX_SHARE * 1.000001 + 1e-9
