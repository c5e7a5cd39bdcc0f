"""Reading a recorded JSON object field by field: every field once, of its type, and no other. Pure.

Every method raises DataLoss RECORD_NOT_UNDERSTOOD with the path of the field: what we wrote
ourselves is either as we wrote it or damaged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

from services.kit.errors import DataLoss, InvalidArgument
from services.kit.ids import RunId
from services.orchestrator.domain.slots import Value

Word = TypeVar("Word", bound=str)
T = TypeVar("T")


class Fields:
    """One object of the document; `nothing_else` says that all of it was read."""

    def __init__(self, values: Mapping[str, object], path: str) -> None:
        self.path = path
        self._values = values
        self._read: set[str] = set()

    @classmethod
    def parse(cls, document: str | bytes, path: str) -> Fields:
        """Read a document that is to be one object."""
        try:
            return cls.of(json.loads(document), path)
        except ValueError:
            raise malformed(path, "is no JSON") from None

    def __contains__(self, name: str) -> bool:
        return name in self._values

    @classmethod
    def of(cls, value: object, path: str) -> Fields:
        """Read a JSON value that is to be an object."""
        if not isinstance(value, dict):
            raise malformed(path, "is no object")
        return cls(cast("Mapping[str, object]", value), path)

    def nothing_else(self) -> None:
        """Require that no field is left unread."""
        unknown = sorted(self._values.keys() - self._read)
        if unknown:
            raise malformed(self.path, f"has {len(unknown)} fields nobody knows")

    def any(self, name: str) -> Any:
        """Any JSON."""
        if name not in self._values:
            raise malformed(self._at(name), "is missing")
        self._read.add(name)
        return self._values[name]

    def text(self, name: str) -> str:
        """A text."""
        return self._typed(name, str)

    def flag(self, name: str) -> bool:
        """True or false."""
        return self._typed(name, bool)

    def integer(self, name: str) -> int:
        """A whole number; JSON's true is none."""
        return self._typed(name, int)

    def optional_integer(self, name: str) -> int | None:
        """A whole number, or null."""
        return None if self.any(name) is None else self.integer(name)

    def word(self, name: str, words: Sequence[Word]) -> Word:
        """One of some words."""
        value = self.text(name)
        for word in words:
            if word == value:
                return word
        raise malformed(self._at(name), "is none of its words")

    def optional_word(self, name: str, words: Sequence[Word]) -> Word | None:
        """One of some words, or null."""
        return None if self.any(name) is None else self.word(name, words)

    def run_id(self, name: str) -> RunId:
        """The id of a run."""
        try:
            return RunId(self.text(name))
        except InvalidArgument:
            raise malformed(self._at(name), "is no run_id") from None

    def time(self, name: str) -> datetime:
        """A moment with its zone, ISO 8601."""
        try:
            found = datetime.fromisoformat(self.text(name))
        except ValueError:
            raise malformed(self._at(name), "is no time") from None
        if found.tzinfo is None:
            raise malformed(self._at(name), "has no zone")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        values = self._typed(name, list)
        for value in values:
            if not isinstance(value, str):
                raise malformed(self._at(name), "is no list of texts")
        return tuple(values)

    def words(self, name: str, words: Sequence[Word]) -> tuple[Word, ...]:
        """A list of some words."""
        known = {str(word): word for word in words}
        values = self.texts(name)
        for value in values:
            if value not in known:
                raise malformed(self._at(name), "has a word that is none of its words")
        return tuple(known[value] for value in values)

    def scalars(self, name: str) -> dict[str, Value]:
        """An object of scalars."""
        values = self._typed(name, dict)
        for value in values.values():
            if not isinstance(value, bool | int | float | str):
                raise malformed(self._at(name), "is no object of scalars")
        return dict(values)

    def child(self, name: str) -> Fields:
        """An object."""
        return Fields.of(self.any(name), self._at(name))

    def optional_child(self, name: str) -> Fields | None:
        """An object, or null."""
        return None if self.any(name) is None else self.child(name)

    def children(self, name: str) -> list[Fields]:
        """A list of objects."""
        values = self._typed(name, list)
        at = self._at(name)
        return [Fields.of(value, f"{at}[{number}]") for number, value in enumerate(values)]

    def _typed(self, name: str, kind: type[T]) -> T:
        value = self.any(name)
        # A bool is an int to isinstance.
        if type(value) is not kind:
            raise malformed(self._at(name), f"is not of the type {kind.__name__}")
        return value

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}"


def malformed(path: str, problem: str) -> DataLoss:
    """What is said of a document that is not as we write it."""
    return DataLoss("RECORD_NOT_UNDERSTOOD", f"{path} {problem}")
