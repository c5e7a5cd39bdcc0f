from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.engine.pattern import MAX_TEXT, Pattern, PatternError

_PIECES = ("a", "b", ".", "[ab]", "[^a]", "(a|b)", "(?:ab)", "\\w", "\\d", "^", "$", "(a|)")
_COUNTS = ("", "*", "+", "?", "{2}", "{1,3}", "{0,2}", "{1,}", "*?", "+?")
_PATTERNS = st.lists(
    st.tuples(st.sampled_from(_PIECES), st.sampled_from(_COUNTS)), min_size=1, max_size=5
).map(lambda parts: "".join(piece + count for piece, count in parts))


@given(_PATTERNS, _PATTERNS, st.text("abc1", max_size=8))
def test_it_finds_what_the_usual_engine_finds(first: str, second: str, text: str) -> None:
    pattern = f"{first}|{second}"
    try:
        expected = re.search(pattern, text, re.DOTALL) is not None
    except re.error:
        # As `^*`; then it is refused here too.
        with pytest.raises(PatternError):
            Pattern(pattern)
        return
    assert Pattern(pattern).found_in(text) == expected


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", "(.*)*x", "a*a*a*a*a*a*a*a*b", ".*.*.*=x"]
)
def test_patterns_that_take_the_usual_engine_for_ever_end_at_once(pattern: str) -> None:
    assert not Pattern(pattern).found_in("a" * MAX_TEXT)


def test_letters_of_all_languages_and_any_case() -> None:
    assert Pattern("(?i)größe").found_in("Die GRÖßE zählt")
    assert Pattern(r"^\w+$").found_in("Blumenwiese")
    assert not Pattern("größe").found_in("GRÖSSE")


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a" * 201,
        "(",
        "a)",
        "[a",
        "*",
        "a{2}{3}",
        r"(a)\1",
        r"\bword",
        "(?=a)",
        "(?P<x>a)",
        "a(?i)",
    ],
)
def test_what_cannot_be_used_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        Pattern(pattern)


def test_counts_that_multiply_are_refused_before_they_fill_the_memory() -> None:
    with pytest.raises(PatternError, match="too large"):
        Pattern("((((a{99}){99}){99}){99}){99}")


def test_patterns_are_equal_when_they_are_written_alike() -> None:
    assert Pattern("a+") == Pattern("a+")
    assert Pattern("a+") != Pattern("a*")
