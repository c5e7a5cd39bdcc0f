from __future__ import annotations

import pytest

from services.interception.language import Detector
from tests.unit.interception.writing import LEXICON

DETECTOR = Detector({"de": LEXICON.de.knows, "en": LEXICON.en.knows})

CASES = [
    ("Eine Blume auf der Wiese", "de"), ("Ein Hund im Regen", "de"), ("Hund", "de"),
    ("Blume", "de"), ("Baum", "de"), ("Käse", "de"), ("Haus am See", "de"), ("rot", "de"),
    ("ein Haus", "de"), ("Sonne, Mond, Sterne", "de"), ("Drache", "de"),
    ("mein hund hat angst", "de"),
    ("A lonely robot in the rain", "en"), ("dog", "en"), ("a cat", "en"), ("rain", "en"),
    ("tree", "en"), ("house", "en"), ("blue ball", "en"), ("dragon", "en"),
    ("cat in hat", "en"), ("sun moon stars", "en"), ("night city", "en"),
    ("un chien sous la pluie", "fr"), ("la lluvia cae sobre la ciudad", "es"),
    ("een hond in de regen", "nl"), ("собака под дождём", "ru"), ("猫が雨の中で踊る", "ja"),
    ("一只狗在雨中", "zh"), ("비 오는 날의 개", "ko"), ("كلب تحت المطر", "ar"),
    ("बारिश में कुत्ता", "hi"), ("yağmurda bir köpek", "tr"),
    ("", "und"), ("🌸🌸", "und"), ("12345 !?", "und"), ("xqzt", "und"), ("שלום", "und"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "language"), CASES)
async def test_languages_are_told_apart_and_doubt_is_admitted(text: str, language: str) -> None:
    assert await DETECTOR.detect(text) == language


async def test_a_hint_decides_where_the_text_is_doubtful_only() -> None:
    assert await DETECTOR.detect("xqzt", "tr") == "tr"
    assert await DETECTOR.detect("🌸", "de") == "de"
    assert await DETECTOR.detect("Ein Hund läuft durch den Regen", "en") == "de"


async def test_a_long_text_is_judged_quickly_by_its_beginning() -> None:
    assert await DETECTOR.detect("Der Hund läuft durch den Regen. " * 600) == "de"
