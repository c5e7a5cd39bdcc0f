"""A text put the way its medium wants it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from services.interception.domain.prompt_style import PromptStyle
from services.interception.domain.recipe import Recipe
from services.interception.ports import ExecutionMode, LanguageDetector, Writers
from services.interception.writing import Update, write
from services.kit.errors import NotFound


@dataclass(frozen=True, slots=True)
class RewriteRequest:
    """A text for a medium, as asked for. `language`, `user_id` and `recipe` may be empty."""

    text: str
    style: str
    language: str
    mode: ExecutionMode
    seed: int
    user_id: str
    recipe: str


class Rewriter:
    """Knows how media want their texts and who can write them.

    Args:
        styles: by name.
        recipe: finds a recipe by name; raises NotFound CONFIG_NOT_FOUND.
        writers: who can write.
        languages: tells the language of a text.
    """

    def __init__(
        self,
        styles: Mapping[str, PromptStyle],
        recipe: Callable[[str], Recipe],
        writers: Writers,
        languages: LanguageDetector,
    ) -> None:
        self._styles = styles
        self._recipe = recipe
        self._writers = writers
        self._languages = languages

    async def rewrite(self, request: RewriteRequest) -> AsyncGenerator[Update, None]:
        """Yield places in the line and the text as it grows, then the result.

        Raises NotFound PROMPT_STYLE_NOT_FOUND or CONFIG_NOT_FOUND, and what the writer raises.
        """
        style = self._styles.get(request.style)
        if style is None:
            known = ", ".join(sorted(self._styles))
            raise NotFound(
                "PROMPT_STYLE_NOT_FOUND", f"no such style; there are {known}", field="style"
            )
        local_only = bool(request.recipe) and self._recipe(request.recipe).local_only
        source = await self._languages.detect(request.text, request.language)
        task = style.task(
            request.text, source, request.seed, request.user_id, local_only=local_only
        )
        async with aclosing(write(task, request.mode, self._writers, self._languages)) as updates:
            async for update in updates:
                yield update
