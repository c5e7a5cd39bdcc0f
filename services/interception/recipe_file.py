"""What a file of a recipe may say: its fields, their bounds, and how they hang together."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from services.interception.domain.chain import TARGETS
from services.interception.domain.messages import LANGUAGE_NAMES
from services.interception.domain.recipe import (
    MediaKind,
    Pipeline,
    Result,
    Takes,
)
from services.interception.domain.technique import TECHNIQUES, BuiltinWriting

MAX_PASSES = 32
MAX_STEPS = 8
MAX_OUTPUTS = 16
# What a recipe tells a model over all its steps; it is checked as one text where people wrote it.
MAX_TOLD_CHARACTERS = 12_000

_ShortText = Annotated[str, Field(min_length=1, max_length=80)]
_LongText = Annotated[str, Field(min_length=1, max_length=600)]
_ContextText = Annotated[str, Field(min_length=40, max_length=8000)]
_ConfigName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
_Tag = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]


class Strict(BaseModel):
    """What every file of the catalogue is: nothing unknown in it, nothing around its texts."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class _Title(Strict):
    en: _ShortText
    de: _ShortText


class _Description(Strict):
    en: _LongText
    de: _LongText


class Context(Strict):
    """What a model is told to be."""

    en: _ContextText
    de: _ContextText


class Parameters(Strict):
    """How a model is asked to write."""

    temperature: float = Field(ge=0, le=2, description="0 keeps close to the text, 1 and more roam")
    top_p: float = Field(gt=0, le=1, description="share of the likeliest words to draw from")
    max_tokens: int = Field(ge=1, le=8192, description="how much a model may write")


class _MediaPreferences(Strict):
    default_output: MediaKind | None = Field(
        None, description="what is made when nobody chose; none means text only"
    )
    output_configs: list[_ConfigName] = Field(
        default_factory=list,
        max_length=MAX_OUTPUTS,
        description="outputs of configs/output, each entry exactly one",
    )


class _Display(Strict):
    icon: _ShortText = Field(description="an emoji")
    color: str = Field(pattern=r"^#[0-9a-f]{6}$", description="#rrggbb, lower case")
    order: int = Field(ge=0, le=10_000, description="place among the others, smallest first")


class _Audience(Strict):
    min_age: int = Field(ge=0, le=99, description="in years")
    workshop_suitable: bool


class Writer(Strict):
    """How the built-in writer does it."""

    technique: str = Field(
        description="what the built-in writer does", json_schema_extra={"enum": list(TECHNIQUES)}
    )
    options: dict[str, float] = Field(default_factory=dict, description="numbers of the technique")
    always: bool = Field(False, description="the rule is the recipe: no model is ever asked")

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

    def writing(self) -> BuiltinWriting:
        """As the domain knows it."""
        return BuiltinWriting(self.technique, self.options, self.always)


class StepFile(Strict):
    """One pass of a chain or split."""

    title: _Title
    context: Context = Field(description="what this pass does; follows the recipe's context")
    writer: Writer
    parameters: Parameters | None = Field(None, description="instead of the recipe's")
    takes: Takes | None = Field(
        None,
        description="which text it gets: of the pass before (previous, usual in a chain), the "
        "person's (original, always in a split), or those of all passes before (all)",
    )


# What editors can know of how fields hang together; the checks below know all of it.
_STEPWISE: JsonDict = {
    "if": {"properties": {"pipeline": {"enum": ["chain", "split"]}}},
    "then": {"required": ["steps"], "properties": {"writer": False}},
    "else": {"required": ["writer"], "properties": {"steps": {"maxItems": 0}, "result": False}},
}


class RecipeFile(Strict):
    """A recipe of Artlab; the file's name without its ending is the recipe's name."""

    model_config = ConfigDict(json_schema_extra=_STEPWISE)

    pipeline: Pipeline = Field(
        description="single: one pass; recursive: one pass several times; chain: steps that follow "
        "one another; split: steps beside one another; translation; unchanged"
    )
    name: _Title = Field(description="as it is shown")
    description: _Description = Field(description="one or two sentences, for who chooses")
    category: _Tag
    context: Context = Field(description="what the attitude wanted and what to do with a text")
    parameters: Parameters
    media_preferences: _MediaPreferences
    display: _Display
    audience: _Audience
    writer: Writer | None = Field(None, description="all but chains and splits have one")
    steps: list[StepFile] = Field(
        default_factory=list, max_length=MAX_STEPS, description="the passes of a chain or split"
    )
    result: Result | None = Field(
        None,
        description="what comes of a chain or split: the last text (usual in a chain) or all "
        "(usual in a split)",
    )
    local_only: bool = Field(
        False,
        description="nothing of a run with it reaches a machine but one's own, whatever the mode",
    )
    tags: list[_Tag] = Field(default_factory=list, max_length=20)
    meta: dict[_Tag, _LongText] = Field(
        default_factory=dict, max_length=20, description="sources and remarks, by name"
    )
    passes: int = Field(1, ge=1, le=MAX_PASSES, description="of a recursive recipe")
    languages: list[str] = Field(
        default_factory=list, max_length=40, description="which a chain of translations draws from"
    )
    target_language: str = Field("", description="of a translation")
    translate_input: bool = Field(True, description="whether stage 1 translates the text first")
    accepts_context: bool = Field(False, description="whether people may write rules of their own")
    requires_context: bool = Field(False, description="whether they must")

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        for check in (_check_passes, _check_steps, _check_languages, _check_writer):
            check(self)
        return self


def _check_passes(file: RecipeFile) -> None:
    recursive = file.pipeline == "recursive"
    if recursive != (file.passes > 1):
        raise ValueError("passes: recursive recipes have at least 2, all others 1")
    if file.languages and not recursive:
        raise ValueError("languages: only recursive recipes have them")


def _check_steps(file: RecipeFile) -> None:
    stepwise = file.pipeline in ("chain", "split")
    if stepwise != (len(file.steps) > 1):
        raise ValueError("steps: chains and splits have at least 2, all others none")
    if file.result is not None and not stepwise:
        raise ValueError("result: only chains and splits have one")
    if file.pipeline == "split":
        for position, step in enumerate(file.steps):
            if step.takes not in (None, "original"):
                raise ValueError(f"steps.{position}.takes: in a split it is original")
    if any(step.writer.technique == "rules" for step in file.steps):
        raise ValueError("steps: the technique rules is for single recipes")
    for language in ("en", "de"):
        contexts = [file.context, *(step.context for step in file.steps)]
        if sum(len(getattr(each, language)) for each in contexts) > MAX_TOLD_CHARACTERS:
            raise ValueError(
                f"context: with those of all steps at most {MAX_TOLD_CHARACTERS} characters"
            )


def _check_languages(file: RecipeFile) -> None:
    unknown = [each for each in file.languages if each not in LANGUAGE_NAMES["en"]]
    if unknown:
        raise ValueError(f"languages: unknown {', '.join(unknown)}")
    if len(set(file.languages)) != len(file.languages):
        raise ValueError("languages: one is named twice")
    stations = [each for each in file.languages if each not in TARGETS]
    if file.languages and len(stations) < file.passes:
        raise ValueError(
            f"languages: {file.passes} passes need at least as many languages besides "
            f"{' and '.join(TARGETS)}"
        )
    if (file.pipeline == "translation") != bool(file.target_language):
        raise ValueError("target_language: translations have one, all others none")
    if file.target_language and file.target_language not in LANGUAGE_NAMES["en"]:
        raise ValueError("target_language: unknown language")


def _check_writer(file: RecipeFile) -> None:
    if (file.writer is None) != bool(file.steps):
        raise ValueError("writer: chains and splits have one in each step, all others have one")
    technique = file.writer.technique if file.writer else ""
    if file.requires_context and not file.accepts_context:
        raise ValueError("requires_context: needs accepts_context")
    if (technique == "rules") != file.accepts_context:
        raise ValueError("accepts_context: goes with the technique rules, and only with it")
    if file.pipeline == "unchanged" and technique != "unchanged":
        raise ValueError("writer: an unchanged text has the technique unchanged")
