"""Every recipe with the built-in writer, in both languages: what comes out can be shown."""

from __future__ import annotations

import pytest

from services.interception.domain.recipe import Recipe
from services.interception.language import Detector
from services.safety.domain.levels import Level, Purpose
from tests.unit.interception.writing import LEXICON, RECIPES, finished
from tests.unit.safety.support import check

TEXTS = {"de": "Ein Hund im Regen", "en": "A dog in the rain"}
SEEDS = range(1, 9)
# They leave a text as it is, and say so.
UNCHANGED = {"passthrough", "translation_en"}
# Their words are of no language, or are misheard into few of any.
NO_LANGUAGE = ("piglatin", "stillepost")
WRITTEN = [
    pytest.param(recipe, language, id=f"{recipe.name}-{language}")
    for recipe in RECIPES.values()
    for language in TEXTS
    if recipe.name not in UNCHANGED | {"user_defined"}
]
OF_A_LANGUAGE = [one for one in WRITTEN if not str(one.id).startswith(NO_LANGUAGE)]


def level_of(recipe: Recipe) -> Level:
    """The strictest level whose people may choose the recipe."""
    if recipe.minimum_age <= 12:
        return Level.KIDS
    return Level.YOUTH if recipe.minimum_age < 18 else Level.ADULT


@pytest.mark.parametrize(("recipe", "language"), WRITTEN)
def test_it_changes_the_text_and_the_seed_decides_how(recipe: Recipe, language: str) -> None:
    text = TEXTS[language]
    made = [finished(recipe.name, text, language, seed=seed) for seed in SEEDS]
    assert text not in made
    assert made == [finished(recipe.name, text, language, seed=seed) for seed in SEEDS]
    if recipe.writing.technique not in ("antonyms", "pig_latin"):
        assert len(set(made)) > 1
    for each in made:
        assert "{" not in each
        assert "  " not in each
        assert not each.endswith((" ", ","))


@pytest.mark.parametrize(("recipe", "language"), OF_A_LANGUAGE)
async def test_it_stays_in_the_language_of_the_text(recipe: Recipe, language: str) -> None:
    detector = Detector({"de": LEXICON.de.knows, "en": LEXICON.en.knows})
    for seed in SEEDS:
        made = finished(recipe.name, TEXTS[language], language, seed=seed)
        assert await detector.detect(made) == language, made


@pytest.mark.parametrize(("recipe", "language"), WRITTEN)
async def test_those_it_is_for_may_see_it(recipe: Recipe, language: str) -> None:
    for seed in SEEDS:
        made = finished(recipe.name, TEXTS[language], language, seed=seed)
        verdict = await check(made, level_of(recipe), Purpose.MEDIA_PROMPT, language)
        assert not verdict.blocked, (made, verdict.rule, verdict.terms)


# Other kinds of things have other sentences.
OTHERS = {
    "de": ("Zwei Kinder bauen am Strand eine Burg", "Ein alter Roboter in der Küche"),
    "en": ("Two children build a castle on the beach", "An old robot in the kitchen"),
}


@pytest.mark.parametrize(("recipe", "language"), WRITTEN)
async def test_children_may_see_it_whatever_it_is_about(recipe: Recipe, language: str) -> None:
    for text in OTHERS[language]:
        for seed in (1, 5):
            made = finished(recipe.name, text, language, seed=seed)
            verdict = await check(made, level_of(recipe), Purpose.MEDIA_PROMPT, language)
            assert not verdict.blocked, (made, verdict.rule, verdict.terms)
