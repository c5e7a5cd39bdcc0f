"""Ways to hide a word: always the same, still to be read, and none that makes another word."""

from __future__ import annotations

import pytest

from services.safety.domain.normalize import fold
from services.safety.evaluation.hiding import WAYS, hidden

HIDDEN = {way.name: text for way, text in hidden("Ein Hakenkreuz dort", "Hakenkreuz")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dots", "Ein H.a.k.e.n.k.r.e.u.z dort"),
        ("hyphen and line break", "Ein Haken-\nkreuz dort"),
        ("digits", "Ein H4k3nkr3uz dort"),
        ("a star", "Ein H*kenkreuz dort"),
        ("full width", "Ein Ｈａｋｅｎｋｒｅｕｚ dort"),
        ("backwards", "Ein zuerknekaH dort"),
        ("letters swapped", "Ein Hakeknreuz dort"),
        ("a letter missing", "Ein Hakenreuz dort"),
        (
            "soft hyphens",
            "Ein H\u00ada\u00adk\u00ade\u00adn\u00adk\u00adr\u00ade\u00adu\u00adz dort",
        ),
        ("Base64", "Ein SGFrZW5rcmV1eg== dort"),
        ("Morse", "Ein .... .- -.- . -. -.- .-. . ..- --.. dort"),
    ],
)
def test_a_way_writes_what_it_says(name: str, text: str) -> None:
    assert HIDDEN[name] == text


def test_every_way_changes_a_long_word_and_nothing_else() -> None:
    assert set(HIDDEN) == {way.name for way in WAYS}
    assert len(set(HIDDEN.values())) == len(WAYS)
    for text in HIDDEN.values():
        assert "Hakenkreuz" not in text
        assert text.startswith("Ein ")
        assert text.endswith(" dort")


def test_short_words_are_not_hidden_in_ways_that_make_other_words() -> None:
    # "Neger" backwards is rain, "Na zi" is two words, and a slip makes "Niza".
    ways = {way.name for way, _ in hidden("Nazi", "Nazi")}
    assert ways.isdisjoint({"backwards", "torn in two", "letters swapped", "a letter missing"})
    assert {"dots", "spaces", "zero width", "digits"} <= ways


def test_letters_of_other_scripts_are_look_alikes_for_the_filter_too() -> None:
    for name in ("full width", "mathematical", "circled", "squared", "Cyrillic", "Greek"):
        assert fold(HIDDEN[name]).units.casefold() == "ein hakenkreuz dort", name


def test_words_of_a_phrase_stay_words() -> None:
    found = {way.name: text for way, text in hidden("a pipe bomb", "pipe bomb")}
    assert found["dots"] == "a p.i.p.e b.o.m.b"
