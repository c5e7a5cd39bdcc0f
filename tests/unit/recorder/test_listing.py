"""The order of runs and the tokens of its pages."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.errors import InvalidArgument
from services.kit.ids import RunId
from services.recorder.domain.run import Run
from services.recorder.listing import Listing
from tests.unit.recorder.test_run import NOW, new_run


def run(number: int, seconds: int, user_id: str) -> Run:
    run_id = RunId(f"528e5af9-59b3-4551-b101-{number:012x}")
    created_at = NOW + timedelta(seconds=seconds)
    return replace(new_run(), run_id=run_id, created_at=created_at, user_id=user_id)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), max_size=20),
    st.integers(1, 5),
    st.sampled_from(["", "a", "b"]),
)
def test_pages_hold_every_run_once_newest_first(
    seeds: list[tuple[int, str]], size: int, user_id: str
) -> None:
    runs = [run(number, seconds, user) for number, (seconds, user) in enumerate(seeds)]
    listing = Listing(one.place for one in runs[::2])
    for one in runs:
        listing.add(one.place)
    seen: list[RunId] = []
    token = ""
    while True:
        page = listing.page(size, token, user_id)
        assert len(page.run_ids) <= size
        seen += page.run_ids
        token = page.next_token
        if not token:
            break
    wanted = [one for one in runs if user_id in ("", one.user_id)]
    wanted.sort(key=lambda one: (one.created_at, one.run_id), reverse=True)
    assert seen == [one.run_id for one in wanted]


def test_a_removed_run_is_not_listed_and_pages_go_on_from_its_place() -> None:
    runs = [run(number, number, "a") for number in range(4)]
    listing = Listing(one.place for one in runs)
    page = listing.page(2, "", "")
    listing.remove(page.run_ids[-1])
    listing.remove(page.run_ids[-1])
    assert listing.page(2, page.next_token, "").run_ids == (runs[1].run_id, runs[0].run_id)


@given(st.text(max_size=60))
def test_no_token_crashes_the_listing(token: str) -> None:
    listing = Listing([run(1, 1, "a").place])
    if token:
        with pytest.raises(InvalidArgument):
            listing.page(1, token, "")


@pytest.mark.parametrize(
    "value",
    [[], {}, 1, ["x", "y", "z", ""], ["2026-01-01T00:00:00", "528e5af9", "a", ""], [None] * 4],
)
def test_a_token_that_only_looks_like_one_is_refused(value: object) -> None:
    token = base64.urlsafe_b64encode(orjson.dumps(value)).decode()
    with pytest.raises(InvalidArgument) as caught:
        Listing([]).page(1, token, "")
    assert caught.value.reason == "PAGE_TOKEN_INVALID"
