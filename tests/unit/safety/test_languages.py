"""The lists of further languages: what they refuse, leave alone, and how their scripts are read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.safety.domain.levels import LEVELS_BY_LABEL, Level, Purpose
from services.safety.domain.normalize import fold_word
from tests.unit.safety.support import CORPUS, check, corpus, read, safety

LANGUAGES = ("ar", "es", "fr", "ko", "tr", "uk")
HARMLESS = [
    (language, text) for language in LANGUAGES for _, text in corpus(f"harmless_{language}")
]


def forbidden() -> Iterator[tuple[str, str, str]]:
    """Yield the laxest level that refuses a sentence, its category, and the sentence."""
    for levels in read(CORPUS / "forbidden_languages.yaml").values():
        for level, categories in levels.items():
            for category, texts in categories.items():
                yield from ((level, category, text) for text in texts)


def finds(text: str) -> list[str]:
    folded, readings = safety().reader.read(text)
    return [hit.term for hit in safety().wordlist.find(folded, readings).hits]


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_list_has_its_breadth(language: str) -> None:
    entries = [entry for entry in safety().wordlist.entries if entry.language == language]
    assert sum(len(entry.terms) for entry in entries) >= 130
    categories = {entry.category for entry in entries}
    assert categories == set(safety().policy.categories) - {"personal_data", "other_harm"}
    assert len([text for found, text in HARMLESS if found == language]) >= 25


@pytest.mark.parametrize(("language", "text"), HARMLESS)
async def test_harmless_sentences_are_safe_for_kids(language: str, text: str) -> None:
    for purpose in (Purpose.INPUT, Purpose.MEDIA_PROMPT):
        verdict = await check(text, purpose=purpose, language=language)
        assert not verdict.blocked, (verdict.rule, verdict.terms)


@pytest.mark.parametrize(("level", "category", "text"), list(forbidden()))
async def test_forbidden_sentences_are_refused_up_to_their_level(
    level: str, category: str, text: str
) -> None:
    laxest = LEVELS_BY_LABEL[level]
    for one in Level:
        verdict = await check(text, one)
        assert verdict.blocked == (one <= laxest), (one, verdict.rule)
        if verdict.blocked:
            assert category in verdict.codes
            assert verdict.explanation


@pytest.mark.parametrize(
    "text",
    [
        # Vowel signs, the kashida, forms of alif, Persian letters
        *("اِنْتِحَار", "انـتـحـار", "إنتحار", "مخدّرات", "ﻣﺨﺪﺭﺍﺕ", "کوکایین", "جثه"),
        # What is written together with the next word
        *("والمخدرات", "بالمخدرات", "وللمخدرات", "فسينتحر", "كالجثة", "جثتها", "جثتهم"),
        # Endings and particles; a syllable block that goes on; single letters of Hangul
        *("시체를", "자살하고", "권총으로도", "죽여버린다", "자\u200b살", "시.발", "ｼ 섹스"),
        *("tabancasını", "cinayetlerden", "İNTİHAR", "öldürmek istediği insan öldürenler"),
        *("свастикою", "САМОГУБСТВО", "пістолетом", "порнографією", "нapкотики"),
        *("l'ASSASSINÉ", "qu'un cadavre", "decapite", "ENCULÉ", "salopes", "esvasticas", "CABRÓN"),
    ],
)
def test_words_are_found_as_their_language_writes_them(text: str) -> None:
    assert finds(text)


@pytest.mark.parametrize(
    "text",
    [
        # Cyrillic words that look like Latin ones, alone and beside a short word
        *("соска", "рак і щука", "рот", "нора", "рис", "сік", "тато", "вона", "мох", "хата"),
        # Syllables that are words of their own
        *("아홉 시 발표회", "과자 위에", "나는 자 살펴보자", "보지 마세요", "다섯 살인 동생"),
        # Without their marks they would be others
        *("canım sıkıldı", "sık sık", "çok şıktır", "gün batımı", "güneş", "piç tarağı resmi"),
        *("la mer de sable", "carte de membre", "por no llover", "el año", "un cono", "gato negro"),
        *("je suis en retard", "au-dessous de la table", "errores ortográficos", "ІБАН", "Çekçe"),
        *(
            "une dinde, deutsch: Pute",
            "a big bite",
            "cul-de-sac",
            "top am Ball",
            "el papa y la papa",
        ),
        *("شكل مسدس", "مدينة البندقية", "نيك يلعب", "الجنسية", "حشيش أخضر", "كأس", "خبز"),
    ],
)
def test_what_only_looks_like_a_listed_word_is_left_alone(text: str) -> None:
    assert not finds(text)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("كـــتاب", "كتاب"),
        ("كِتَابٌ", "كتاب"),
        ("أإآٱا", "ااااا"),
        ("مدرسة على", "مدرسه علي"),
        ("کتاب", "كتاب"),
        ("ĜğİıŞçñœ", "ggiiscnoe"),
    ],
)
def test_letters_that_are_written_for_one_another_are_one(text: str, units: str) -> None:
    assert fold_word(text) == units


def test_hangul_is_read_by_its_letters() -> None:
    # A stem goes on within a syllable; a consonant before the vowel is not the one after it.
    assert fold_word("죽인다").startswith(fold_word("죽이"))
    assert not fold_word("각오").startswith(fold_word("가고"))


@pytest.mark.parametrize(
    "text",
    [
        "Une leçon d'histoire au musée : la croix gammée",
        "Una clase de historia en el museo sobre la esvástica",
        "Tarih dersinde müzede gamalı haç",
        "Урок історії в музеї про свастику",
        "درس في المتحف عن تاريخ الصليب المعقوف",
        "박물관 역사 수업: 하켄크로이츠",
    ],
)
async def test_signs_may_be_taught_about_in_every_language(text: str) -> None:
    assert not (await check(text)).blocked
    assert (await check(text, purpose=Purpose.MEDIA_PROMPT)).blocked


async def test_full_names_are_told_from_stories_in_ukrainian() -> None:
    named = await check("Мене звати Олена Коваленко і я люблю малювати.")
    assert "personal_data" in named.codes
    for text in ("Мене звати Олена і я люблю малювати.", "Олена Пчілка писала казки."):
        assert not (await check(text)).blocked
