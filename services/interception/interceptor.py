"""The application: one pass of one recipe, from a checked request to a result."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from services.interception.domain.chain import next_language
from services.interception.domain.recipe import Recipe
from services.interception.domain.writing import WritingTask
from services.interception.ports import (
    ExecutionMode,
    LanguageDetector,
    Writers,
)
from services.interception.writing import Update, write
from services.kit.defects import Defect
from services.kit.errors import FailedPrecondition, InvalidArgument, NotFound

UNKNOWN = "und"
MAX_NAMES_TOLD = 40


@dataclass(frozen=True, slots=True)
class PassRequest:
    """One pass, as asked for. `language` and `context` may be empty."""

    config_name: str
    text: str
    language: str
    context: str
    mode: ExecutionMode
    seed: int
    number: int
    # Who asks, for the line before a model; and the digest of the recipe, empty for any.
    user_id: str = ""
    recipe_sha256: str = ""
    # The run it belongs to, within which a translation is remembered; empty means none.
    run_id: str = ""


class Interceptor:
    """Knows the recipes and who can write them.

    `defect_of` says what is wrong with a recipe's file, for a name that has no recipe.
    """

    def __init__(
        self,
        recipes: Mapping[str, Recipe],
        writers: Writers,
        languages: LanguageDetector,
        *,
        defect_of: Callable[[str], Defect | None] = lambda _: None,
    ) -> None:
        self._recipes = recipes
        self._writers = writers
        self._languages = languages
        self._defect_of = defect_of

    def recipes(self) -> list[Recipe]:
        """All recipes, by name."""
        return [self._recipes[name] for name in sorted(self._recipes)]

    def recipe(self, name: str) -> Recipe:
        """One recipe. Raises NotFound CONFIG_NOT_FOUND."""
        if name not in self._recipes:
            if defect := self._defect_of(name):
                raise NotFound(
                    "CONFIG_NOT_FOUND",
                    f"its file has a defect: {defect}; `artlab check` lists all of them",
                    field="config_name",
                )
            known = ", ".join(sorted(self._recipes)[:MAX_NAMES_TOLD])
            more = ", …" if len(self._recipes) > MAX_NAMES_TOLD else ""
            raise NotFound(
                "CONFIG_NOT_FOUND",
                f"there is no such recipe; there are {known}{more}",
                field="config_name",
            )
        return self._recipes[name]

    def writer_names(self) -> tuple[str, ...]:
        """What writes here."""
        return self._writers.names()

    async def language_of(self, text: str) -> str:
        """The language of a text, found offline."""
        return await self._languages.detect(text)

    async def intercept(self, request: PassRequest) -> AsyncGenerator[Update, None]:
        """Yield places in the line and the text as it grows, then the result.

        Raises NotFound, InvalidArgument with the field's path, FailedPrecondition RECIPE_CHANGED,
        and what the writer raises.
        """
        whole = self.recipe(request.config_name)
        _check(whole, request)
        recipe = whole.for_pass(request.number)
        source = await self._languages.detect(request.text, request.language)
        task = pass_task(
            recipe,
            request.text,
            rules=request.context,
            from_language=source,
            to_language=_target(recipe, request, source),
            seed=request.seed,
            number=request.number,
            user_id=request.user_id,
            run_id=request.run_id,
        )
        updates = write(task, request.mode, self._writers, self._languages, passes=recipe.passes)
        async with aclosing(updates):
            async for update in updates:
                yield update


def pass_task(
    recipe: Recipe,
    text: str,
    *,
    rules: str,
    from_language: str,
    to_language: str,
    seed: int,
    number: int,
    user_id: str = "",
    run_id: str = "",
) -> WritingTask:
    """One pass of a recipe, as a task."""
    return WritingTask(
        task="translation" if recipe.pipeline == "translation" else "interception",
        name=recipe.name,
        text=text,
        context=recipe.context,
        sampling=recipe.sampling,
        from_language=from_language,
        to_language=to_language,
        seed=seed,
        number=number,
        user_id=user_id,
        run_id=run_id,
        rules=rules,
        writing=recipe.writing,
        translates=recipe.translates,
        is_a_rule=recipe.needs_no_model,
        local_only=recipe.local_only,
    )


def _check(recipe: Recipe, request: PassRequest) -> None:
    if request.recipe_sha256 and request.recipe_sha256 != recipe.sha256:
        raise FailedPrecondition(
            "RECIPE_CHANGED", f"{recipe.name} is another recipe than it was; start again"
        )
    if request.context and not recipe.accepts_context:
        raise InvalidArgument(
            "CONTEXT_NOT_ACCEPTED", "this recipe takes no rules of your own", field="context"
        )
    if recipe.requires_context and not request.context:
        raise InvalidArgument(
            "CONTEXT_REQUIRED", "this recipe needs rules of your own", field="context"
        )
    if request.number > recipe.passes:
        raise InvalidArgument(
            "INVALID_PASS", f"this recipe has {recipe.passes} passes", field="pass"
        )


def _target(recipe: Recipe, request: PassRequest, source: str) -> str:
    if recipe.pipeline == "translation":
        return recipe.target_language
    if recipe.pipeline == "recursive" and recipe.languages:
        # The caller's language is that of the person's text in every pass of a chain, so that the
        # last one knows where to end.
        origin = request.language or source
        return next_language(
            recipe.languages, request.seed, recipe.passes, request.number, origin, source
        )
    return source
