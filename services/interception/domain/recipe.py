"""Recipes: what an artistic attitude does to a text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from services.interception.domain.technique import BuiltinWriting

MediaKind = Literal["text", "image", "audio", "music", "video", "code"]
Pipeline = Literal["single", "recursive", "chain", "split", "translation", "unchanged"]
# Which text a pass gets: that of the pass before, that of the person as stage 1 left it, or those
# of all passes before.
Takes = Literal["previous", "original", "all"]
# What comes of a recipe: the text of its last pass, or those of all.
Result = Literal["last", "all"]
Origin = Literal["shipped", "local"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """What a model is asked for. Temperature 0–2, top_p above 0 to 1, max_tokens from 1."""

    temperature: float
    top_p: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Step:
    """One pass of a chain or split. `context` follows the recipe's."""

    title: Mapping[str, str]
    context: Mapping[str, str]
    sampling: Sampling
    writing: BuiltinWriting
    takes: Takes


@dataclass(frozen=True, slots=True)
class Recipe:
    """One entry of the catalogue. Texts are by language, "en" and "de" at least.

    `context` is what a model is told to be; `languages` is the pool of a recursive recipe;
    `target_language` is where a translation goes, empty otherwise. Chains and splits have `steps`,
    one for each pass; all others none.
    """

    name: str
    pipeline: Pipeline
    title: Mapping[str, str]
    description: Mapping[str, str]
    context: Mapping[str, str]
    category: str
    sampling: Sampling
    writing: BuiltinWriting
    passes: int
    steps: tuple[Step, ...]
    result: Result
    languages: tuple[str, ...]
    target_language: str
    default_output: MediaKind | None
    output_configs: tuple[str, ...]
    accepts_context: bool
    requires_context: bool
    translates_input: bool
    # Nothing of a run with it reaches a machine but one's own, whatever the mode.
    local_only: bool
    origin: Origin
    minimum_age: int
    workshop_suitable: bool
    icon: str
    color: str
    order: int
    tags: tuple[str, ...]
    meta: Mapping[str, str]
    # Of all it says, in hex.
    sha256: str = ""

    @property
    def needs_no_model(self) -> bool:
        """Whether its own nature is a rule, so that no model is ever asked."""
        if self.steps:
            return all(step.writing.always for step in self.steps)
        return self.writing.always or self.pipeline == "unchanged"

    @property
    def keeps_words(self) -> bool:
        """Whether its words go to a renderer as they are, so that nobody puts them otherwise."""
        return self.needs_no_model or self.pipeline == "translation"

    @property
    def translates(self) -> bool:
        """Whether a pass of it is a translation."""
        return self.pipeline in ("recursive", "translation")

    @property
    def told(self) -> Mapping[str, str]:
        """Everything a model is told by it, over all passes, by language."""
        found: dict[str, str] = {}
        for language, context in self.context.items():
            parts = [context]
            for step in self.steps:
                parts += [step.title.get(language, ""), step.context.get(language, "")]
            found[language] = "\n\n".join(part for part in parts if part)
        return found

    def context_in(self, language: str) -> str:
        """The context in this language, else in English."""
        return self.context.get(language, self.context["en"])

    def for_pass(self, number: int) -> Recipe:
        """The recipe as it is for pass `number`, from 1: with the step's context and writing."""
        if not self.steps:
            return self
        step = self.steps[number - 1]
        return replace(
            self,
            context={
                language: f"{context}\n\n{step.context.get(language, step.context['en'])}"
                for language, context in self.context.items()
            },
            sampling=step.sampling,
            writing=step.writing,
            # What holds of the whole is no more asked of one pass.
            steps=(),
        )
