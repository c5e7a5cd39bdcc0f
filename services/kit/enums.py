"""Proto enums as the words people and files use: ``SAFETY_LEVEL_KIDS`` is ``kids``."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Any, Generic, TypeVar

from services.kit.errors import InvalidArgument

W = TypeVar("W", bound=StrEnum)

# A generated enum. Its stubs make every enum a type of its own; what they share has no type.
ProtoEnum = Any


def _prefix(enum: ProtoEnum) -> str:
    # The zero value is <PREFIX>_UNSPECIFIED by lint rule.
    zero: str = enum.Name(0)
    return zero.removesuffix("UNSPECIFIED")


def word_of(enum: ProtoEnum, value: int) -> str:
    """The lower-case word of a value; empty for UNSPECIFIED and for values from the future."""
    if value == 0 or value not in enum.values():
        return ""
    name: str = enum.Name(value)
    return name.removeprefix(_prefix(enum)).lower()


def value_of(enum: ProtoEnum, word: str) -> Any:
    """The value of a word; empty is UNSPECIFIED. Raises ValueError for an unknown word."""
    return enum.Value(_prefix(enum) + (word.upper() or "UNSPECIFIED"))


def parse_enum(enum: ProtoEnum, value: int, field: str, *, optional: bool = False) -> str:
    """Return the word of a value a client sent.

    Raises InvalidArgument INVALID_ENUM for an unknown value and, unless optional, for UNSPECIFIED.
    """
    word = word_of(enum, value)
    if not word and not (optional and value == 0):
        raise InvalidArgument("INVALID_ENUM", "must be set to a known value", field=field)
    return word


class Words(Generic[W]):
    """The values of a proto enum by a domain's own words of the same names; UNSPECIFIED has none.

    Raises ValueError for a word whose name is no value.
    """

    def __init__(self, enum: ProtoEnum, words: type[W]) -> None:
        self._values = {word: value_of(enum, word.name) for word in words}
        self._words = {value: word for word, value in self._values.items()}

    def value(self, word: W) -> Any:
        """The generated value of a word."""
        return self._values[word]

    def word(self, value: int, field: str, among: Collection[W] | None = None) -> W:
        """The word of a received value.

        Raises InvalidArgument ENUM_REQUIRED for UNSPECIFIED, ENUM_NOT_ALLOWED for numbers nobody
        knows and words not in `among`.
        """
        if value == 0:
            raise InvalidArgument("ENUM_REQUIRED", "must be specified", field=field)
        word = self._words.get(value)
        if word is None or (among is not None and word not in among):
            raise InvalidArgument("ENUM_NOT_ALLOWED", "not a value for this field", field=field)
        return word
