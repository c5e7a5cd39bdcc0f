"""Folding text for searches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recorder.domain.folding import fold


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("", ""),
        ("Eine Blume", "eine blume"),
        ("ÄÖÜ äöü", "aou aou"),
        ("Straße", "strasse"),
        ("e\u0301te\u0301", "ete"),
        ("İSTANBUL", "istanbul"),
        ("ﬁ", "fi"),
        ("１２３", "123"),
        ("Ж绘🎨", "ж绘🎨"),
        ("हिन्दी", "हिनदी"),
    ],
)
def test_case_accents_and_width_go_and_nothing_else(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text())
def test_folded_text_stays_as_it_is(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(alphabet="aäßÉi\u0307İﬁ 绘", max_size=8), st.text(alphabet="aäßÉİ绘", max_size=8))
def test_what_is_in_a_text_is_found_in_it(before: str, needle: str) -> None:
    assert fold(needle) in fold(before + needle)
