"""Prompt styles: how a medium wants its text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.interception.domain.recipe import Sampling
from services.interception.domain.technique import BuiltinWriting
from services.interception.domain.writing import WritingTask


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """One file of configs/prompt_styles/. `context` is by language, "en" and "de" at least.

    `language` is the one that models of this kind were trained in; empty means the text's own.
    """

    name: str
    context: Mapping[str, str]
    sampling: Sampling
    writing: BuiltinWriting
    language: str = ""

    def task(
        self, text: str, source: str, seed: int, user_id: str, *, local_only: bool
    ) -> WritingTask:
        """Return what is to be written of a text in a language."""
        target = self.language or source
        return WritingTask(
            task="media_prompt",
            name=self.name,
            text=text,
            context=self.context,
            sampling=self.sampling,
            from_language=source,
            to_language=target,
            seed=seed,
            user_id=user_id,
            writing=self.writing,
            translates=target != source,
            local_only=local_only,
        )
