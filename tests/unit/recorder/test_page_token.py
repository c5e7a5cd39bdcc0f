"""The tokens of a list's pages."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.errors import InvalidArgument
from services.recorder.domain.filter import Filter
from services.recorder.domain.page_token import page_token, parse_page_token
from services.recorder.domain.run import Place
from services.recorder.domain.vocabulary import Audience, MediaKind, RunState, SafetyLevel
from tests.support.run_folders import run_id_of

MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(MOMENTS, st.integers(0, 9))
def test_a_token_leads_back_to_its_place(moment: datetime, number: int) -> None:
    place = Place(moment, run_id_of(number))
    assert parse_page_token(page_token(place, "list"), "list") == place


def test_no_token_is_the_first_page() -> None:
    assert parse_page_token("", "list") is None


@given(st.text(min_size=1, max_size=60))
def test_no_text_crashes_the_reader(token: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_page_token(token, "list")


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        1,
        ["x", "y", "list"],
        ["2026-01-01T00:00:00", "528e5af9-59b3-4551-b101-27e13dd6e43e", "list"],
        ["2026-01-01T00:00:00+00:00", "528e5af9", "list"],
        ["2026-01-01T00:00:00+00:00", "528e5af9-59b3-4551-b101-27e13dd6e43e", "other"],
        [None] * 3,
    ],
)
def test_a_token_that_only_looks_like_one_is_refused(value: object) -> None:
    token = base64.urlsafe_b64encode(orjson.dumps(value)).decode()
    with pytest.raises(InvalidArgument) as caught:
        parse_page_token(token, "list")
    assert (caught.value.reason, caught.value.field) == ("PAGE_TOKEN_INVALID", "page_token")


def test_every_part_of_a_filter_makes_another_list() -> None:
    base = Filter()
    others = [
        replace(base, user_id="u"),
        replace(base, config_names=frozenset({"a", "b"})),
        replace(base, states=frozenset({RunState.FAILED})),
        replace(base, safety_levels=frozenset({SafetyLevel.KIDS})),
        replace(base, created_from=datetime(2026, 1, 1, tzinfo=UTC)),
        replace(base, created_before=datetime(2026, 1, 1, tzinfo=UTC)),
        replace(base, kinds=frozenset({MediaKind.IMAGE})),
        replace(base, output_configs=frozenset({"flux2"})),
        replace(base, text="x"),
        replace(base, favourites=True),
    ]
    digests = {one.digest(audience) for one in (base, *others) for audience in Audience}
    assert len(digests) == 3 * (1 + len(others))
    same = Filter(config_names=frozenset({"b", "a"}))
    assert same.digest(Audience.STUDENT) == others[1].digest(Audience.STUDENT)
