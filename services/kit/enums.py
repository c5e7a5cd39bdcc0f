"""Proto enums as the words people and files use: ``SAFETY_LEVEL_KIDS`` is ``kids``."""

from __future__ import annotations

from typing import Any

from services.kit.errors import InvalidArgument

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
