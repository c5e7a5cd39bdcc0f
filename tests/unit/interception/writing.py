"""Writing one pass with the built-in writer."""

from __future__ import annotations

from services.interception.catalogue import load_recipes
from services.interception.interceptor import pass_task
from services.interception.ports import Written
from services.interception.writer.builtin import compose
from services.interception.writer.lexicon_files import load_lexicon
from services.kit.catalogue import CONFIGS

RECIPES = load_recipes(CONFIGS / "interception")
LEXICON = load_lexicon()


def passed(
    recipe: str, text: str, language: str = "de", *, seed: int = 1, rules: str = "", number: int = 1
) -> Written:
    """The result of one pass."""
    task = pass_task(
        RECIPES[recipe].for_pass(number),
        text,
        rules=rules,
        from_language=language,
        to_language=language,
        seed=seed,
        number=number,
    )
    return compose(task, LEXICON)


def written(recipe: str, text: str, language: str = "de", **options: object) -> str:
    """The text of one pass."""
    return passed(recipe, text, language, **options).text  # type: ignore[arg-type]


def finished(recipe: str, text: str, language: str = "de", *, seed: int = 1) -> str:
    """What comes of all passes, each with the text that the recipe says it takes."""
    found = RECIPES[recipe]
    made: list[str] = []
    for number in range(1, found.passes + 1):
        takes = found.steps[number - 1].takes if found.steps else "previous"
        before = made or [text]
        given = {"original": text, "previous": before[-1], "all": "\n\n".join(before)}[takes]
        made.append(written(recipe, given, language, seed=seed, number=number))
    return "\n\n".join(made) if found.result == "all" else made[-1]
