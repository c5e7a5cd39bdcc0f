"""Whose turn it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.kit.ids import RunId
from services.orchestrator.claims import Claimable, ClaimableRuns
from services.orchestrator.queue.fair import in_turn

START = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = ("anna", "ben", "cem")


def _waiting(users: list[str], loads: dict[str, int] | None = None) -> ClaimableRuns:
    runs = tuple(
        Claimable(RunId.new(), user, START + timedelta(seconds=number))
        for number, user in enumerate(users)
    )
    return ClaimableRuns(runs, len(runs), loads or {})


def _order(users: list[str], loads: dict[str, int] | None = None) -> list[str]:
    return [run.user_id for run in in_turn(_waiting(users, loads))]


def test_people_take_turns_and_the_oldest_begins() -> None:
    assert _order(["anna", "anna", "anna", "ben", "cem"]) == ["anna", "ben", "cem", "anna", "anna"]


def test_who_has_runs_in_work_comes_later() -> None:
    assert _order(["anna", "anna", "ben"], {"anna": 1}) == ["ben", "anna", "anna"]
    assert _order(["anna", "ben", "ben", "ben"], {"anna": 2}) == ["ben", "ben", "anna", "ben"]


@given(
    st.lists(st.sampled_from(PEOPLE), max_size=30),
    st.dictionaries(st.sampled_from(PEOPLE), st.integers(0, 5)),
)
def test_everybody_comes_once_and_nobody_gets_ahead(
    users: list[str], loads: dict[str, int]
) -> None:
    waiting = _waiting(users, loads)
    order = list(in_turn(waiting))
    assert sorted(str(run.run_id) for run in order) == sorted(str(r.run_id) for r in waiting.runs)
    in_work = {user: loads.get(user, 0) for user in PEOPLE}
    left = {user: [run for run in waiting.runs if run.user_id == user] for user in PEOPLE}
    for run in order:
        # Nobody who waits has less in work, and of one's own runs the oldest comes first.
        assert in_work[run.user_id] == min(in_work[user] for user in PEOPLE if left[user])
        assert left[run.user_id].pop(0) is run
        in_work[run.user_id] += 1
