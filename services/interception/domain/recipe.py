"""Recipes: what an artistic attitude does to a text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from services.interception.domain.technique import BuiltinWriting

MediaKind = Literal["text", "image", "audio", "music", "video", "code"]
Pipeline = Literal["single", "recursive", "translation", "unchanged"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """What a model is asked for. Temperature 0–2, top_p above 0 to 1, max_tokens from 1."""

    temperature: float
    top_p: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """One entry of configs/interception/. Texts are by language, "en" and "de" at least.

    `context` is what a model is told to be; `languages` is the pool of a recursive recipe;
    `target_language` is where a translation goes, empty otherwise.
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
    languages: tuple[str, ...]
    target_language: str
    default_output: MediaKind | None
    output_configs: tuple[str, ...]
    accepts_context: bool
    requires_context: bool
    translates_input: bool
    minimum_age: int
    workshop_suitable: bool
    icon: str
    color: str
    order: int
    tags: tuple[str, ...]
    meta: Mapping[str, str]

    @property
    def needs_no_model(self) -> bool:
        """Whether its own nature is a rule, so that no model is ever asked."""
        return self.writing.always or self.pipeline == "unchanged"

    @property
    def translates(self) -> bool:
        """Whether a pass of it is a translation."""
        return self.pipeline in ("recursive", "translation")

    def context_in(self, language: str) -> str:
        """The context in this language, else in English."""
        return self.context.get(language, self.context["en"])
