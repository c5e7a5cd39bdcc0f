"""Texts are parsed once, at the border."""

from __future__ import annotations

import pytest

from services.kit.errors import InvalidArgument
from services.kit.text import MAX_TEXT_BYTES, MAX_TEXT_CHARACTERS, parse_text

BAD = [
    ("", "EMPTY_TEXT"),
    (" \n\t ", "EMPTY_TEXT"),
    ("\ufeff", "EMPTY_TEXT"),
    ("a\x00b", "INVALID_CHARACTER"),
    ("a\x1bb", "INVALID_CHARACTER"),
    ("a\x7fb", "INVALID_CHARACTER"),
    ("\ud800", "INVALID_UNICODE"),
    ("\udc00\ud800", "INVALID_UNICODE"),
    ("a" * (MAX_TEXT_CHARACTERS + 1), "TEXT_TOO_LONG"),
    ("\U0001f4a9" * (MAX_TEXT_BYTES // 4 + 1), "TEXT_TOO_LONG"),
]


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_bad_texts_are_refused_with_field_and_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_text(text, "input_text")
    assert (caught.value.reason, caught.value.field) == (reason, "input_text")
    assert text not in str(caught.value) or not text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "Eine Blume\r\nauf der\tWiese",
        "{{7*7}} {% raw %} %s %(x)s {0.__class__}",
        "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u13e3\u13b3\u13a9",
        "a" + "\u0301" * 10_000,
        "\U0001f3f4\U000e0067\U000e0062",
        "\U0001f4a9" * (MAX_TEXT_BYTES // 4),
    ],
)
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert parse_text(text, "input_text") == text


def test_a_byte_order_mark_is_not_text() -> None:
    assert parse_text("\ufeffBlume", "input_text") == "Blume"


def test_an_optional_text_may_be_empty() -> None:
    assert parse_text("", "context", optional=True) == ""
