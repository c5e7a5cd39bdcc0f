"""The files of ``configs/safety/`` as they are written; unknown keys are errors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.safety.domain.levels import Purpose
from services.safety.domain.matching import Mode
from services.safety.domain.policy import Check, OnFailure, OnHit, Outcome

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
# Longer than any term or sentence we write; it bounds what one entry costs.
Word = Annotated[str, Field(min_length=1, max_length=80, pattern=r"\S")]
Sentence = Annotated[str, Field(min_length=3, max_length=300)]
Severity = Annotated[int, Field(ge=1, le=3)]
# A judge's own word for what it sees.
Label = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
# 0 would refuse every picture.
Score = Annotated[float, Field(gt=0, le=1)]
LevelName = Literal["kids", "youth", "adult", "research"]


class SafetyFile(BaseModel):
    """What every file of configs/safety is: nothing unknown in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CategorySpec(SafetyFile):
    """What a category means: hits of at least `severity` have the outcome."""

    outcome: Outcome
    severity: Severity = 1
    signals: Annotated[int, Field(ge=1, le=5)] = 1


class CheckSpec(SafetyFile):
    """One check of a row.

    `on_hit` says whether the checks after it are made when its hits block the text. A failure is
    an error, never a verdict: that is written down so that the table tells the whole story. For
    `judge`, `judges` names those that must have judged, and `on_failure: builtin` lets those in
    this process be enough while one elsewhere is away.
    """

    check: Check
    on_hit: OnHit
    on_failure: OnFailure
    judges: list[Name] = []


class RowSpec(SafetyFile):
    """The checks of some levels and purposes, and where a category means something else there."""

    levels: Annotated[list[LevelName], Field(min_length=1)]
    purposes: Annotated[list[Purpose], Field(min_length=1)]
    checks: Annotated[list[CheckSpec], Field(min_length=1)]
    categories: dict[Name, CategorySpec] = {}


class GuardCodeSpec(SafetyFile):
    """What a code of Llama Guard means here."""

    category: Name
    severity: Severity


class LanguageModelSpec(SafetyFile):
    """What a language model is asked about a text, and what its answers mean."""

    categories: Annotated[
        dict[Name, Annotated[str, Field(min_length=10, max_length=300)]], Field(min_length=1)
    ]
    llama_guard: dict[Annotated[str, Field(pattern=r"^S[0-9]{1,3}$")], GuardCodeSpec]
    unknown: GuardCodeSpec


class ImageLevelSpec(SafetyFile):
    """One level: by category, judge and label the least score that is refused."""

    judges: Annotated[list[Name], Field(min_length=1)]
    keep_blocked: bool
    refuse: dict[Name, dict[Name, dict[Label, Score]]]


class ImagesSpec(SafetyFile):
    """What may be seen in pictures and films."""

    check_levels: list[LevelName]
    categories: Annotated[list[Name], Field(min_length=1)]
    never_kept: list[Name]
    levels: dict[LevelName, ImageLevelSpec]


class PolicyFile(SafetyFile):
    """``policy.yaml``."""

    version: Literal[1]
    categories: Annotated[list[Name], Field(min_length=1)]
    always_refused: Annotated[list[Name], Field(min_length=1)]
    levels: dict[LevelName, dict[Name, CategorySpec]]
    rows: Annotated[list[RowSpec], Field(min_length=1)]
    language_model: LanguageModelSpec
    images: ImagesSpec


class Examples(SafetyFile):
    """Sentences that show what something finds and what it leaves alone; a test walks them."""

    hit: Annotated[list[Sentence], Field(min_length=1)]
    miss: Annotated[list[Sentence], Field(min_length=2)]


class EntrySpec(Examples):
    """Terms that are the same thing. Severity and mode are the group's unless given."""

    terms: Annotated[list[Word], Field(min_length=1)]
    severity: Severity | None = None
    mode: Mode | None = None
    unless: list[Word] = []


class GroupSpec(SafetyFile):
    """Entries of one category from one source."""

    category: Name
    severity: Severity
    mode: Mode = Mode.WORD
    source: Sentence
    entries: Annotated[list[EntrySpec], Field(min_length=1)]


class TermsFile(SafetyFile):
    """``terms/<language>.yaml``, or ``terms/<language>_<topic>.yaml``.

    `prefixes` and `inflections` are what may stand before and after a term within its word, in
    any mode. `allow` are innocent words and phrases (a star ends a stem).
    """

    language: Language
    prefixes: list[Annotated[str, Field(pattern=r"^[^\W\d_]{1,4}$")]] = []
    inflections: list[Annotated[str, Field(pattern=r"^[^\W\d_]{1,6}$")]]
    allow: list[Word]
    groups: Annotated[list[GroupSpec], Field(min_length=1)]


# A word, a stem with a star, a word with a tilde for its inflections, or @name for a word group.
RuleWord = Word


class RuleSpec(Examples):
    """One rule: a word of each of `all`, within so many words, `ordered` as they are written."""

    name: Name
    category: Name
    severity: Severity
    source: Sentence
    within: Annotated[int, Field(ge=1, le=20)]
    ordered: bool = False
    all: Annotated[list[Annotated[list[RuleWord], Field(min_length=1)]], Field(min_length=2)]
    unless: list[RuleWord] = []


class RulesFile(SafetyFile):
    """``rules/<language>.yaml``, or ``rules/<language>_<topic>.yaml``.

    `groups` are words by a name; all rules of the language may have them as ``@name``.
    """

    language: Language
    groups: dict[Name, Annotated[list[RuleWord], Field(min_length=1)]] = {}
    rules: list[RuleSpec] = []

    @model_validator(mode="after")
    def _says_something(self) -> RulesFile:
        if not self.rules and not self.groups:
            raise ValueError("rules or groups of words")
        return self


class ContextFile(SafetyFile):
    """``context.yaml``: signs of history and teaching by language, and what speaks against."""

    signals: Annotated[dict[Language, list[Word]], Field(min_length=1)]
    against: dict[Language, list[Word]]


class ExplanationSpec(SafetyFile):
    """What a person reads."""

    explanation: Annotated[str, Field(min_length=20, max_length=600)]
    suggestion: Annotated[str, Field(min_length=20, max_length=600)]


class ExplanationSpecs(SafetyFile):
    """Explanations by category; `kids` is complete, `default` covers the other levels."""

    kids: dict[Name, ExplanationSpec]
    default: dict[Name, ExplanationSpec]
    youth: dict[Name, ExplanationSpec] = {}
    adult: dict[Name, ExplanationSpec] = {}
    research: dict[Name, ExplanationSpec] = {}


Alternatives = Annotated[
    list[Annotated[str, Field(min_length=10, max_length=200)]], Field(min_length=1, max_length=10)
]


class AlternativeSpecs(SafetyFile):
    """Texts that could be typed instead, by category, for kids and for everybody older."""

    kids: dict[Name, Alternatives]
    default: dict[Name, Alternatives]


class ExplanationsFile(ExplanationSpecs):
    """``explanations/<language>.yaml``: those of texts, and in `images` those of pictures."""

    language: Language
    images: ExplanationSpecs
    alternatives: AlternativeSpecs
