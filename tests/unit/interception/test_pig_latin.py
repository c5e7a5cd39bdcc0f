from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.interception.writer.techniques.pig_latin import pig_word
from services.interception.writer.tokens import tokenize
from tests.unit.interception.writing import written

LATIN = st.characters(
    min_codepoint=0x41, max_codepoint=0x17F, categories=("Lu", "Ll"), exclude_characters="µ"
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("dog", "ogday"),
        ("string", "ingstray"),
        ("apple", "appleway"),
        ("Hund", "Undhay"),
        ("Schnee", "Eeschnay"),
        ("Straße", "Aßestray"),
        ("Pflaume", "Aumepflay"),
        ("Über", "Überway"),
        ("schön", "önschay"),
        ("Bäume", "Äumebay"),
        ("queen", "eenquay"),
        ("square", "aresquay"),
        ("Qualle", "Allequay"),
        ("Quelle", "Ellequay"),
        ("yellow", "ellowyay"),
        ("my", "ymay"),
        ("rhythm", "ythmrhay"),
        ("Ypsilon", "Ilonypsay"),
        ("hmm", "hmmay"),
        ("NASA", "ASANAY"),
        ("I", "Iway"),
        ("A", "Away"),
        ("don't", "on'tday"),
        ("McDonald", "OnaldmcDay"),
        ("été", "étéway"),
        ("猫", "猫"),
        ("собака", "собака"),
        ("b2b", "b2b"),
    ],
)
def test_words_follow_the_rules(word: str, expected: str) -> None:
    assert pig_word(word) == expected


def test_a_split_umlaut_stays_whole() -> None:
    split = unicodedata.normalize("NFD", "Bäume")
    assert unicodedata.normalize("NFC", pig_word(split)) == "Äumebay"


def test_everything_between_words_stays() -> None:
    text = "»Hallo«, sagte 1 Hund… (nass-kalt) 🐕!\n\tEnde."
    assert written("piglatin", text) == (
        "»Allohay«, agtesay 1 Undhay… (assnay-altkay) 🐕!\n\tEndeway."
    )


@given(st.text(LATIN, min_size=1, max_size=20))
def test_every_letter_of_a_word_is_kept_and_two_or_three_are_added(word: str) -> None:
    made = pig_word(word)
    added = "way" if made.lower().endswith("way") and len(made) == len(word) + 3 else "ay"
    assert sorted((word + added).casefold()) == sorted(made.casefold())


@given(st.text(LATIN, min_size=2, max_size=20))
def test_capitals_stay_in_their_place(word: str) -> None:
    made = pig_word(word)
    if word.isupper():
        assert made == made.upper()
    elif word[0].isupper():
        assert made[0].isupper() or made[0].upper() == made[0]
    elif word.islower():
        assert made == made.lower()


@given(st.text(max_size=200))
def test_no_text_changes_what_lies_between_its_words(text: str) -> None:
    made = "".join(
        pig_word(token.text) if token.is_word else token.text for token in tokenize(text)
    )
    between = [token.text for token in tokenize(text) if not token.is_word]
    position = 0
    for piece in between:
        position = made.index(piece, position) + len(piece)
