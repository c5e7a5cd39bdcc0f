"""The files of ``configs/safety/corpus/`` as they are written; unknown keys are errors."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.safety.domain.levels import Purpose
from services.safety.schema import Language, LevelName, Name

ClassName = Literal["harmless", "near", "provocative", "forbidden"]
PurposeName = Literal[Purpose.INPUT, Purpose.MEDIA_PROMPT]
PURPOSES: tuple[PurposeName, ...] = (Purpose.INPUT, Purpose.MEDIA_PROMPT)
# One word may be all that a child types.
Text = Annotated[str, Field(min_length=1, max_length=600, pattern=r"\S")]
Way = Annotated[str, Field(pattern=r"^[a-z][a-z -]{0,39}$")]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GroupSpec(_File):
    """Sentences of which the same is claimed.

    `refused_up_to` is the laxest level that must refuse them, `allowed_from` the strictest one
    that must allow them.
    """

    topic: Name | None = None
    category: Name | None = None
    refused_up_to: LevelName | None = None
    allowed_from: LevelName | None = None
    purposes: Annotated[list[PurposeName], Field(min_length=1)] = list(PURPOSES)
    note: str = ""
    sentences: Annotated[list[Text], Field(min_length=1)]


class SentencesFile(_File):
    """One class of sentences in one language."""

    language: Language
    class_: Annotated[ClassName, Field(alias="class")]
    groups: Annotated[list[GroupSpec], Field(min_length=1)]

    @model_validator(mode="after")
    def _says_what_its_class_needs(self) -> Self:
        for number, group in enumerate(self.groups):
            forbidden, provocative = self.class_ == "forbidden", self.class_ == "provocative"
            if (group.refused_up_to is not None) != forbidden:
                raise ValueError(f"groups.{number}: refused_up_to is for forbidden sentences")
            if (group.allowed_from is not None) != provocative:
                raise ValueError(f"groups.{number}: allowed_from is for provocative sentences")
            if forbidden and group.category is None:
                raise ValueError(f"groups.{number}: forbidden sentences need a category")
        return self


class HiddenSpec(_File):
    """A sentence, and the word in it that is to be hidden."""

    text: Text
    word: Annotated[str, Field(min_length=3, max_length=40)]
    category: Name
    refused_up_to: LevelName

    @model_validator(mode="after")
    def _has_its_word_once(self) -> Self:
        if self.text.count(self.word) != 1:
            raise ValueError(f"the text has to contain {self.word!r} once")
        return self


class WrittenSpec(_File):
    """A sentence in which somebody has hidden something already; `way` says how."""

    text: Text
    way: Way
    category: Name
    refused_up_to: LevelName


class EvasionsFile(_File):
    """What is hidden, in one language."""

    language: Language
    hidden: Annotated[list[HiddenSpec], Field(min_length=1)]
    written: Annotated[list[WrittenSpec], Field(min_length=1)]


class FrozenVersionSpec(_File):
    """A version of the test part."""

    version: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    why: Annotated[str, Field(min_length=3, max_length=300)]


class FrozenFile(_File):
    """Every version that the test part has had; the last one is in force."""

    versions: Annotated[list[FrozenVersionSpec], Field(min_length=1)]

    @model_validator(mode="after")
    def _counts_up(self) -> Self:
        if [one.version for one in self.versions] != list(range(1, len(self.versions) + 1)):
            raise ValueError("versions count up from 1")
        return self
