"""Recipes from files: strict, and all defects at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.interception.domain.chain import TARGETS
from services.interception.domain.messages import LANGUAGE_NAMES
from services.interception.domain.recipe import MediaKind, Pipeline, Recipe, Sampling
from services.interception.domain.technique import TECHNIQUES, BuiltinWriting
from services.kit.catalogue import CatalogueError, Defect, parse_folder

MAX_PASSES = 32
MAX_OUTPUTS = 16

_ShortText = Annotated[str, Field(min_length=1, max_length=80)]
_LongText = Annotated[str, Field(min_length=1, max_length=600)]
_ContextText = Annotated[str, Field(min_length=40, max_length=8000)]
_ConfigName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
_Tag = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class _Title(_Strict):
    en: _ShortText
    de: _ShortText


class _Description(_Strict):
    en: _LongText
    de: _LongText


class _Context(_Strict):
    en: _ContextText
    de: _ContextText


class _Parameters(_Strict):
    temperature: float = Field(ge=0, le=2)
    top_p: float = Field(gt=0, le=1)
    max_tokens: int = Field(ge=1, le=8192)


class _MediaPreferences(_Strict):
    default_output: MediaKind | None = None
    output_configs: list[_ConfigName] = Field(default_factory=list, max_length=MAX_OUTPUTS)


class _Display(_Strict):
    icon: _ShortText
    color: str = Field(pattern=r"^#[0-9a-f]{6}$")
    order: int = Field(ge=0, le=10_000)


class _Audience(_Strict):
    min_age: int = Field(ge=0, le=99)
    workshop_suitable: bool


class _Writer(_Strict):
    technique: str
    options: dict[str, float] = Field(default_factory=dict)
    always: bool = False

    @model_validator(mode="after")
    def _knows_its_options(self) -> Self:
        if self.technique not in TECHNIQUES:
            raise ValueError(f"technique: expected one of {', '.join(TECHNIQUES)}")
        known = TECHNIQUES[self.technique]
        for name, value in self.options.items():
            if name not in known:
                raise ValueError(f"options.{name}: {self.technique} has no such option")
            option = known[name]
            if not option.minimum <= value <= option.maximum:
                raise ValueError(
                    f"options.{name}: expected {option.minimum:g} to {option.maximum:g}"
                )
        return self


class RecipeFile(_Strict):
    """One file of configs/interception/; its stem is the recipe's name."""

    pipeline: Pipeline
    name: _Title
    description: _Description
    category: _Tag
    context: _Context
    parameters: _Parameters
    media_preferences: _MediaPreferences
    display: _Display
    audience: _Audience
    writer: _Writer
    tags: list[_Tag] = Field(default_factory=list, max_length=20)
    meta: dict[_Tag, _LongText] = Field(default_factory=dict, max_length=20)
    passes: int = Field(1, ge=1, le=MAX_PASSES)
    languages: list[str] = Field(default_factory=list, max_length=40)
    target_language: str = ""
    translate_input: bool = True
    accepts_context: bool = False
    requires_context: bool = False

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        recursive = self.pipeline == "recursive"
        if recursive != (self.passes > 1):
            raise ValueError("passes: recursive recipes have at least 2, all others 1")
        if self.languages and not recursive:
            raise ValueError("languages: only recursive recipes have them")
        unknown = [each for each in self.languages if each not in LANGUAGE_NAMES["en"]]
        if unknown:
            raise ValueError(f"languages: unknown {', '.join(unknown)}")
        if len(set(self.languages)) != len(self.languages):
            raise ValueError("languages: one is named twice")
        stations = [each for each in self.languages if each not in TARGETS]
        if self.languages and len(stations) < self.passes:
            raise ValueError(
                f"languages: {self.passes} passes need at least as many languages besides "
                f"{' and '.join(TARGETS)}"
            )
        if (self.pipeline == "translation") != bool(self.target_language):
            raise ValueError("target_language: translations have one, all others none")
        if self.target_language and self.target_language not in LANGUAGE_NAMES["en"]:
            raise ValueError("target_language: unknown language")
        if self.requires_context and not self.accepts_context:
            raise ValueError("requires_context: needs accepts_context")
        if (self.writer.technique == "rules") != self.accepts_context:
            raise ValueError("accepts_context: goes with the technique rules, and only with it")
        if self.pipeline == "unchanged" and self.writer.technique != "unchanged":
            raise ValueError("writer: an unchanged text has the technique unchanged")
        return self


def load_recipes(folder: Path) -> Mapping[str, Recipe]:
    """Return all recipes of a folder, by name.

    Raises CatalogueError with every defect of every file.
    """
    defects: list[Defect] = []
    files = parse_folder(folder, RecipeFile, defects)
    if defects:
        raise CatalogueError(defects)
    return {name: _recipe(name, file) for name, file in files.items()}


def _recipe(name: str, file: RecipeFile) -> Recipe:
    return Recipe(
        name=name,
        pipeline=file.pipeline,
        title=file.name.model_dump(),
        description=file.description.model_dump(),
        context=file.context.model_dump(),
        category=file.category,
        sampling=Sampling(**file.parameters.model_dump()),
        writing=BuiltinWriting(file.writer.technique, file.writer.options, file.writer.always),
        passes=file.passes,
        languages=tuple(file.languages),
        target_language=file.target_language,
        default_output=file.media_preferences.default_output,
        output_configs=tuple(file.media_preferences.output_configs),
        accepts_context=file.accepts_context,
        requires_context=file.requires_context,
        translates_input=file.translate_input,
        minimum_age=file.audience.min_age,
        workshop_suitable=file.audience.workshop_suitable,
        icon=file.display.icon,
        color=file.display.color,
        order=file.display.order,
        tags=tuple(file.tags),
        meta=dict(file.meta),
    )
