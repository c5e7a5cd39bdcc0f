from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.ranges import Span, matches, parse_range
from services.kit.errors import OutOfRange

TAG = '"abc"'


@given(
    size=st.integers(1, 10_000),
    first=st.integers(0, 20_000) | st.none(),
    last=st.integers(0, 20_000) | st.none(),
)
def test_a_range_is_what_a_slice_would_be_or_nothing(
    size: int, first: int | None, last: int | None
) -> None:
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    whole = range(size)
    if first is None:
        wanted = whole[-last:] if last else None
        is_range = last is not None
    else:
        wanted = whole[first:] if last is None else whole[first : last + 1]
        is_range = last is None or last >= first
    if not is_range:
        assert parse_range(header, None, TAG, size) is None
    elif not wanted:
        with pytest.raises(OutOfRange) as caught:
            parse_range(header, None, TAG, size)
        assert caught.value.metadata == {"size_bytes": str(size)}
    else:
        span = Span(wanted[0], wanted[-1])
        assert parse_range(header, None, TAG, size) == span
        assert span.length == len(wanted)
        assert span.content_range(size) == f"bytes {wanted[0]}-{wanted[-1]}/{size}"


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes=", "bytes=a-b", "bytes=1", "bytes=1-2,4-5", "bytes= 1-2", "bytes=1-2\n3"],
)
def test_what_is_no_single_range_means_the_whole_body(header: str) -> None:
    assert parse_range(header, None, TAG, 10) is None


def test_if_range_with_another_tag_or_a_date_means_the_whole_body() -> None:
    assert parse_range("bytes=0-1", '"old"', TAG, 10) is None
    assert parse_range("bytes=0-1", "Wed, 21 Oct 2026 07:28:00 GMT", TAG, 10) is None
    assert parse_range("bytes=0-1", f"W/{TAG}", TAG, 10) is None
    assert parse_range("bytes=0-1", TAG, TAG, 10) == Span(0, 1)


@pytest.mark.parametrize(
    ("header", "has"),
    [
        (None, False),
        (TAG, True),
        ("*", True),
        (f'"x", W/{TAG}', True),
        ('"x"', False),
        ("abc", False),
        ("", False),
    ],
)
def test_if_none_match_compares_weakly(header: str | None, has: bool) -> None:
    assert matches(header, TAG) is has
