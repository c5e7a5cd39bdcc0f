"""Typed access to a parsed JSON document, with the path of what is wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from services.kit.errors import InvalidArgument

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_REASON = re.compile(r"[A-Z][A-Z0-9_]{2,62}", re.ASCII)

# What the protos' fields hold: a number past that could be stored and never be told.
MAX_INT32 = 2**31 - 1
MAX_INT64 = 2**63 - 1

W = TypeVar("W", bound=StrEnum)


class DocumentError(ValueError):
    """A stored document is not what this version writes; says where."""


class Fields:
    """One JSON object, read by key."""

    def __init__(self, value: object, path: str = "") -> None:
        self.path = path
        if not isinstance(value, dict):
            raise DocumentError(f"{path or 'document'}: expected an object")
        self._value: dict[str, Any] = value

    def wrong(self, key: str, why: str) -> DocumentError:
        """The error for a key of this object."""
        return DocumentError(f"{self.path}{key}: {why}")

    def get(self, key: str) -> Any:
        """The raw value. Raises DocumentError when there is none."""
        if key not in self._value:
            raise self.wrong(key, "missing")
        return self._value[key]

    def has(self, key: str) -> bool:
        """Whether there is such a key."""
        return key in self._value

    def text(self, key: str) -> str:
        """A string."""
        value = self.get(key)
        if not isinstance(value, str):
            raise self.wrong(key, "expected a string")
        return value

    def number(self, key: str, least: int = 0, most: int = MAX_INT32) -> int:
        """A whole number."""
        value = self.get(key)
        if type(value) is not int or not least <= value <= most:
            raise self.wrong(key, f"expected a whole number from {least} to {most}")
        return value

    def numbers(self, key: str, least: int = 0, most: int = MAX_INT32) -> tuple[int, ...]:
        """A list of whole numbers."""
        values = self._list(key)
        if not all(type(one) is int and least <= one <= most for one in values):
            raise self.wrong(key, f"expected whole numbers from {least} to {most}")
        return tuple(values)

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.get(key)
        if not isinstance(value, bool):
            raise self.wrong(key, "expected true or false")
        return value

    def time(self, key: str) -> datetime:
        """A moment in UTC with a Z."""
        text = self.text(key)
        try:
            if _TIME.fullmatch(text) is None:
                raise ValueError(text)
            return datetime.fromisoformat(text)
        except ValueError:
            raise self.wrong(key, "expected a time in UTC") from None

    def time_or_none(self, key: str) -> datetime | None:
        """A moment, or null."""
        return None if self.get(key) is None else self.time(key)

    def sha256(self, key: str) -> str:
        """64 lower-case hex characters."""
        text = self.text(key)
        if _SHA256.fullmatch(text) is None:
            raise self.wrong(key, "expected a SHA-256")
        return text

    def reason(self, key: str) -> str:
        """A reason in UPPER_SNAKE."""
        text = self.text(key)
        if _REASON.fullmatch(text) is None:
            raise self.wrong(key, "expected a reason")
        return text

    def word(self, key: str, kind: type[W]) -> W:
        """One of the words of an enum."""
        return self.as_word(key, self.get(key), kind)

    def as_word(self, key: str, value: object, kind: type[W]) -> W:
        """A value as one of the words of an enum."""
        try:
            return kind(str(value))
        except ValueError:
            raise self.wrong(key, f"not a {kind.__name__}") from None

    def words(self, key: str, kind: type[W]) -> tuple[W, ...]:
        """A list of such words."""
        return tuple(self.as_word(key, value, kind) for value in self._list(key))

    def texts(self, key: str) -> dict[str, str]:
        """An object whose values are strings."""
        value = self.get(key)
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise self.wrong(key, "expected an object of strings")
        return value

    def object(self, key: str) -> Fields:
        """An object."""
        return Fields(self.get(key), f"{self.path}{key}.")

    def objects(self, key: str) -> Iterator[Fields]:
        """A list of objects."""
        for place, value in enumerate(self._list(key)):
            yield Fields(value, f"{self.path}{key}[{place}].")

    def _list(self, key: str) -> list[Any]:
        value = self.get(key)
        if not isinstance(value, list):
            raise self.wrong(key, "expected a list")
        return value

    def parsed(self, key: str, error: InvalidArgument) -> DocumentError:
        """What a parser of `kit.ids` found wrong with this key."""
        return self.wrong(key, error.message)
