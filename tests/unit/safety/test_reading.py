"""How spacing is read, what a word is, and what is written in other codes."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.safety.domain.encodings import decode
from services.safety.domain.vocabulary import Vocabulary
from services.safety.vocabulary_file import load_vocabulary
from tests.unit.safety.support import check, safety

INNOCENT_PAIRS = [
    *("The pen is blue", "the-pen-is-blue", "The hero in the story", "the.hero.in.the.story"),
    *("Who're you?", "who’re they", "Peter's hit song", "Tim's platters", "It's ex-tra big"),
    *("a.t i.t.s o.w.n pace", "S.p.r.i.t.z.p.i.s.t.o.l.e", "Hans aß einen Apfel", "Vier Asse"),
]
TORN = ["a pen-is", "ein hero-in!", "Na zi", "Hitl er", "P orno", "por.no", "Haken kreuz", "A-K-47"]


@pytest.mark.parametrize("text", INNOCENT_PAIRS)
async def test_two_words_are_two_words(text: str) -> None:
    verdict = await check(text)
    assert not verdict.blocked, verdict.terms


@pytest.mark.parametrize("text", TORN)
async def test_a_word_that_is_torn_apart_is_one(text: str) -> None:
    assert (await check(text)).blocked


SINGLE = sorted(
    {
        term
        for entry in safety().wordlist.entries
        for term in entry.terms
        if entry.language in ("de", "en") and not entry.unless and term.isalpha() and len(term) > 3
    }
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SINGLE), st.data())
def test_form_never_saves_a_listed_word(term: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(term) - 1))
    joint = data.draw(st.sampled_from(["-", ".", "_", "\u00ad", "-\n", "\u200b"]))
    upper = data.draw(st.booleans())
    text = f"{term[:place]}{joint}{term[place:]}"
    assert asyncio.run(check(text.upper() if upper else text)).blocked, text


@pytest.mark.parametrize(
    ("word", "known"),
    [
        *(("herrengasse", True), ("feuerwehrhauptmann", True), ("badebombe", True)),
        *(("vergassen", True), ("hakenkruez", False), ("selbstmort", False), ("xqzt", False)),
    ],
)
def test_the_vocabulary_knows_words_and_compounds(word: str, known: bool) -> None:
    assert load_vocabulary(("de", "en")).knows(word) is known


@pytest.mark.parametrize(
    ("letters", "first", "part"),
    [
        *(("kinder", True, True), ("igna", True, False), ("riesen", True, True)),
        *(("nparty", False, True), ("yse", False, False), ("ualkunde", False, False)),
    ],
)
def test_a_part_of_a_compound_is_a_word(letters: str, first: bool, part: bool) -> None:
    assert load_vocabulary(("de", "en")).is_part(letters, first=first) is part


def test_without_a_vocabulary_nothing_is_known() -> None:
    assert not Vocabulary({}).knows("haus")


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("SGFsbG8gV2VsdA==", "Hallo Welt"),
        ("48 61 6c 6c 6f", "Hallo"),
        ("01001000 01100001 01101100 01101100 01101111", "Hallo"),
        ("72 97 108 108 111", "Hallo"),
        ("8-1-12-12-15", "hallo"),
        ("%48allo", "Hallo"),
        ("\\u0048allo", "Hallo"),
        ("&#72;allo", "Hallo"),
        ("Ha<b></b>llo", "Hallo"),
        (".... .- .-.. .-.. ---", "hallo"),
        ("Hund\nAffe\nLamm\nLuchs\nOtter", "HALLO"),
    ],
)
def test_other_codes_are_decoded(text: str, decoded: str) -> None:
    assert decoded in [found.text for found in decode(text)]


@pytest.mark.parametrize(
    "text", ["Ein Hund im Regen", "Nummer 12345678", "3, 4, 5 Kinder", "1024x1024", "5 < 6 > 4"]
)
def test_ordinary_text_is_written_in_no_code(text: str) -> None:
    assert list(decode(text)) == []
