from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.preferences import (
    Preference,
    parse_last_event_id,
    parse_prefer,
    run_id_for,
)
from services.kit.errors import InvalidArgument


@pytest.mark.parametrize(
    ("headers", "preference"),
    [
        ([], Preference(300.0, "")),
        (["respond-async"], Preference(0.0, "respond-async")),
        (["wait=10"], Preference(10.0, "wait=10")),
        (["respond-async, wait=10"], Preference(10.0, "respond-async, wait=10")),
        (["respond-async", "wait=10"], Preference(10.0, "respond-async, wait=10")),
        (["wait=0"], Preference(0.0, "wait=0")),
        (["wait=9999"], Preference(300.0, "wait=300")),
        (['WAIT = "7"'], Preference(7.0, "wait=7")),
        (["wait=-1"], Preference(300.0, "")),
        (["wait=1e3"], Preference(300.0, "")),
        (["wait=٣"], Preference(300.0, "")),
        (["return=minimal, handling=strict"], Preference(300.0, "")),
        (["respond-async; x=1"], Preference(0.0, "respond-async")),
    ],
)
def test_what_a_client_prefers(headers: list[str], preference: Preference) -> None:
    assert parse_prefer(headers, 300.0) == preference


def test_the_same_key_of_the_same_person_is_the_same_run() -> None:
    assert run_id_for("lesson 7", "anna") == run_id_for("lesson 7", "anna")
    assert run_id_for("lesson 7", "anna") != run_id_for("lesson 7", "ben")
    assert run_id_for("lesson 7", "anna") != run_id_for("lesson 8", "anna")
    assert run_id_for(None, "anna") != run_id_for(None, "anna")


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=200))
def test_any_printable_key_names_a_run(key: str) -> None:
    if key.strip() == key:
        assert run_id_for(key, "anna") == run_id_for(key, "anna")


@pytest.mark.parametrize("key", ["", "x" * 201, "ä", "a\n", "\t", "a\x7f", " a", "a "])
def test_other_keys_are_refused(key: str) -> None:
    with pytest.raises(InvalidArgument, match="INVALID_IDEMPOTENCY_KEY"):
        run_id_for(key, "anna")


def test_an_event_id_is_a_number_we_gave() -> None:
    assert parse_last_event_id(None) == parse_last_event_id("") == parse_last_event_id("0") == 0
    assert parse_last_event_id("17") == 17
    for other in ("-1", "1.0", "٣", "1\n", " 1", "9" * 16):
        with pytest.raises(InvalidArgument, match="INVALID_LAST_EVENT_ID"):
            parse_last_event_id(other)
