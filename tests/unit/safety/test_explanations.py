"""A no comes with a text that could be typed instead, and that passes."""

from __future__ import annotations

import pytest

from services.safety.domain.levels import Level, Purpose
from tests.unit.safety.support import check, safety

ALL = [
    (language, level, category)
    for told in (safety().explanations, safety().image_explanations)
    for language, by_key in told.by_language.items()
    for level, category in by_key
]


@pytest.mark.parametrize("level", [Level.KIDS, Level.YOUTH])
@pytest.mark.parametrize("purpose", [Purpose.INPUT, Purpose.MEDIA_PROMPT])
async def test_what_could_be_typed_instead_passes(level: Level, purpose: Purpose) -> None:
    asked = set[str]()
    for language, at, category in ALL:
        if at is level:
            for told in (safety().explanations, safety().image_explanations):
                if (level, category) in told.by_language[language]:
                    asked.update(told.of(language, level, category).alternatives)
    assert len(asked) >= 2 * 2 * 12
    refused = [text for text in asked if (await check(text, level, purpose)).blocked]
    assert refused == []


async def test_a_no_offers_one_in_the_language_of_the_person() -> None:
    verdict = await check("Ein Mann tötet eine Frau", Level.KIDS, Purpose.INPUT, language="de")
    told = safety().explanations.of("de", Level.KIDS, "violence")
    assert verdict.alternative in told.alternatives
    again = await check("Ein Mann tötet eine Frau", Level.KIDS, Purpose.INPUT, language="de")
    assert again.alternative == verdict.alternative


async def test_a_yes_offers_none() -> None:
    assert (await check("Ein Hund im Regen")).alternative == ""
