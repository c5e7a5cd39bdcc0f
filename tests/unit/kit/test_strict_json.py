from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.errors import InvalidArgument
from services.kit.strict_json import MAX_DEPTH, parse_json

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
REASONS = {
    "MALFORMED_JSON",
    "INVALID_UTF8",
    "DUPLICATE_KEY",
    "INVALID_NUMBER",
    "INVALID_CHARACTER",
    "INVALID_UNICODE",
    "TOO_DEEP",
}
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


@given(VALUES, st.booleans())
def test_every_proper_value_is_read_as_it_is(value: object, escaped: bool) -> None:
    body = json.dumps(value, ensure_ascii=escaped).encode()
    if _depth(value) <= MAX_DEPTH:
        assert parse_json(body) == value
        assert parse_json(b"\xef\xbb\xbf" + body) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_an_error_of_ours(body: bytes) -> None:
    reasons: set[str] = set()
    try:
        parse_json(body)
    except InvalidArgument as error:
        reasons.add(error.reason)
    assert reasons <= REASONS


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "MALFORMED_JSON"),
        (b"nul", "MALFORMED_JSON"),
        (b"{} {}", "MALFORMED_JSON"),
        (b"'a'", "MALFORMED_JSON"),
        (b"[1,]", "MALFORMED_JSON"),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", "MALFORMED_JSON"),
        (b"\xfe\xff\x00{", "INVALID_UTF8"),
        (b'"\xed\xa0\x80"', "INVALID_UTF8"),
        (b'{"a": 1, "\\u0061": 2}', "DUPLICATE_KEY"),
        (b'[{"a": {"b": 1, "b": 1}}]', "DUPLICATE_KEY"),
        (b"-Infinity", "INVALID_NUMBER"),
        (b"[NaN]", "INVALID_NUMBER"),
        (b"-1e400", "INVALID_NUMBER"),
        (b"1" * 41, "INVALID_NUMBER"),
        (b'"a\nb"', "INVALID_CHARACTER"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "TOO_DEEP"),
        (b"[" * 1_000_000, "TOO_DEEP"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_json(body)
    assert caught.value.reason == reason


def test_brackets_in_a_text_are_no_depth() -> None:
    assert parse_json(b'"' + b"[" * 1_000 + b'"') == "[" * 1_000
    assert parse_json(rb'"\"' + b"[" * 1_000 + b'"') == '"' + "[" * 1_000


def test_half_a_pair_names_its_field() -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_json(b'{"output_configs": ["a", "\\ud800"]}')
    assert (caught.value.reason, caught.value.field) == ("INVALID_UNICODE", "output_configs[1]")
    assert parse_json(b'"\\ud83d\\udca9"') == "\U0001f4a9"
