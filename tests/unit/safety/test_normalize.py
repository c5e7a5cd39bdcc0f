"""Folding: what a reader sees, and the way back to the text."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.safety.domain.normalize import fold, fold_word, visible
from services.safety.domain.readings import read
from services.safety.domain.tokens import INSIDE, LOOSE, TIGHT, split
from tests.unit.safety.support import safety


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Hund", "hund"),
        ("\ufeffHund", "hund"),
        ("Straße", "strasse"),
        ("STRASSE", "strasse"),
        ("Mädchen", "mädchen"),
        ("Ma\u0308dchen", "mädchen"),
        ("Ma\u0301\u0308dchen", "mädchen"),
        ("Café", "cafe"),
        ("Ｈｕｎｄ", "hund"),
        ("𝓗𝓾𝓷𝓭", "hund"),
        ("Ⓗⓤⓝⓓ", "hund"),
        ("🅗🅤🅝🅓", "hund"),
        ("ﬃ", "ffi"),
        ("Hu\u00adnd", "hund"),
        ("Hu\u200bnd", "hund"),
        ("Hu\u2060n\u034fd\ufe0f", "hund"),
        ("Hu\ue000nd", "hund"),
        ("H\u2800u\u3164nd", "hund"),
        ("\u202eHund\u202c", "hund"),
        ("Нund", "hund"),
        ("hυηd", "hund"),
        ("İstanbul", "istanbul"),
        ("ılık", "ilik"),
        ("٣ ３ ➂ ③", "3 3 3 3"),
        ("a-b–c", "a-b-c"),
        ("a…b", "a...b"),
        ("a\u00a0b\u2028c", "a b\nc"),
        ("сосна", "cocha"),
        ("الكلب", "الكلب"),
    ],
)
def test_a_text_folds_to_what_is_seen(text: str, units: str) -> None:
    assert fold_word(text) == units


def test_text_hidden_in_tag_characters_is_read_as_words_of_its_own() -> None:
    hidden = "".join(chr(0xE0000 + ord(c)) for c in "nazi flag")
    folded = fold(f"Ein Hund{hidden} im Regen")
    assert folded.units == "ein hund im regen \x01\x01 nazi flag"
    assert folded.as_it_stands(21, 24) == "nazi"


def test_the_flag_of_scotland_is_not_a_secret() -> None:
    flag = "\U0001f3f4" + "".join(chr(0xE0000 + ord(c)) for c in "gbsct") + "\U000e007f"
    assert fold_word(flag) == ". \x01\x01 gbsct"


@given(st.text(max_size=200))
def test_every_unit_has_its_place_in_the_text(text: str) -> None:
    folded = fold(text)
    assert len(folded.units) == len(folded.origin)
    assert all(0 <= place < len(text) for place in folded.origin)
    for reading in read(folded.units):
        assert len(reading) == len(folded.units)
        letters = split(reading)
        assert len(letters.text) == len(letters.unit) == len(letters.bound) - 1
        assert letters.unit == sorted(set(letters.unit))
    plain, origin = visible(text)
    assert len(plain) == len(origin)


@given(st.text(max_size=100))
def test_case_does_not_matter_to_words(text: str) -> None:
    # Letters whose capitals look like other letters (Greek, Cherokee …) fold as they look.
    if text.isascii():
        assert fold_word(text.upper()) == fold_word(text.lower())


def test_words_are_apart_by_what_stands_between_them() -> None:
    letters = split("a-b c")
    assert letters.text == "abc"
    assert list(letters.bound) == [LOOSE, TIGHT, LOOSE, LOOSE]
    assert list(split("haus").bound) == [LOOSE, INSIDE, INSIDE, INSIDE, LOOSE]


def test_every_letter_knows_its_word() -> None:
    letters = split("ein hund-haus")
    assert letters.words() == ["ein", "hund", "haus"]
    assert list(letters.starts) == [0, 3, 7, 11]
    assert list(letters.numbering) == [0, 4, 9]
    assert split("").words() == []


@pytest.mark.parametrize(
    ("units", "reading"),
    [
        ("im jahr 1488", "im jahr 1488"),
        ("ak47", "ak47"),
        ("haaaallo", "haa\x00\x00llo"),
        ("kkk", "kkk"),
        ("s@n", "s.n"),
    ],
)
def test_the_plain_reading_leaves_digits_and_drops_symbols(units: str, reading: str) -> None:
    assert read(units)[0] == reading


@pytest.mark.parametrize(
    ("units", "reading"),
    [
        *(("s@n", "san"), ("$an", "san"), ("s!n", "sin"), ("ki11er", "killer"), ("a$$", "ass")),
        *(("h4kenkreuz", "hakenkreuz"), ("1024x1024", "io2axio2a"), ("häuser", "hauser")),
        *(("mörd3r", "mörder"), ("haaaallo", "ha\x00\x00\x00llo"), ("h 4 k", "h a k")),
    ],
)
def test_other_readings_take_digits_and_symbols_for_letters(units: str, reading: str) -> None:
    assert reading in read(units)[1:]


@pytest.mark.parametrize("units", ["88", "5 + 3 = 8", "2024", "10 € und 5 $", "a hund"])
def test_what_hides_no_letters_has_one_reading_of_its_words(units: str) -> None:
    assert len({split(reading).text for reading in read(units)}) == 1


def test_punctuation_at_the_end_is_no_letter() -> None:
    assert all(split(reading).text == "haus" for reading in read("haus!"))


def work(text: str) -> None:
    folded, readings = safety().reader.read(text)
    safety().wordlist.find(folded, readings)
    safety().rules.find(folded, readings)
    safety().personal.find(text)


def best_of(runs: int, call: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(runs):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize(
    "piece",
    [
        *("a", "a\u0301", "@", "a*", "h a ", "1 ", "0123 ", "hakenkreu", "sex ", "a@b.", "- \n"),
        *("Ein schöner Hund bellt. ", "töten mensch ", "\u200b", "卐", "DE89 3704 ", "a1!|"),
        *("geschichte museum ", "nazi gegen ", "(", "@@a", "+49 ", "aaab", "(at) ", "hitler"),
        *("kind nackt fuß ", "mein insta ist ", "a" * 63 + "@" + "b" * 63),
    ],
)
def test_time_is_linear_in_the_length(piece: str) -> None:
    safety()
    short, long = (piece * 2_500)[:2_500], (piece * 20_000)[:20_000]
    work(short)
    # Eight times the text: linear is 8, quadratic 64. Processor time, and the best of several runs.
    ratio = best_of(3, lambda: work(long)) / max(best_of(3, lambda: work(short)), 5e-4)
    assert ratio < 28, ratio


def test_ten_thousand_marks_on_one_letter_are_one_letter() -> None:
    assert fold_word("a" + "\u0301" * 10_000) == "a"
    assert fold_word("a" + "\u0301\u0316" * 5_000 + "\u0308") == "ä"
