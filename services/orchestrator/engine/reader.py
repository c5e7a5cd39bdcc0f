"""Reads the fields of a file and keeps every defect, in words for who wrote it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from services.kit.defects import Defect

MAX_NAMES_TOLD = 12
MAX_DEPTH = 24


class Reader:
    """One file. Each method returns what it read, or a stand-in after it has noted a defect."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.defects: list[Defect] = []

    def wrong(self, field: str, reason: str) -> None:
        """Note a defect."""
        defect = Defect(self.source, field, reason)
        if defect not in self.defects:
            self.defects.append(defect)

    def plain(self, value: object, field: str, depth: int = 0) -> object:
        """The value as JSON has it; what JSON cannot hold is a defect and becomes nothing."""
        if depth > MAX_DEPTH:
            self.wrong(field, f"more than {MAX_DEPTH} levels deep")
            return None
        if isinstance(value, Mapping):
            return self._plain_fields(value, field, depth)
        if isinstance(value, list | tuple):
            return [self.plain(one, at(field, n), depth + 1) for n, one in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):
            self.wrong(field, f"{value} is no number to compute with")
            return None
        if isinstance(value, str) and not _is_storable(value):
            self.wrong(field, "holds half a character (a lone surrogate) or a zero character")
            return ""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        self.wrong(field, f"found {kind_of(value)}: quote it")
        return None

    def _plain_fields(self, value: Mapping[Any, Any], field: str, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, one in value.items():
            name = key
            if key is True and field.endswith("retry"):
                # YAML 1.1 reads the word on as a truth value.
                name = "on"
            if not isinstance(name, str):
                self.wrong(at(field, key), f"a name must be a text, found {kind_of(key)}: quote it")
                continue
            found[name] = self.plain(one, at(field, name), depth + 1)
        return found

    def fields(self, value: object, field: str, known: Sequence[str]) -> Mapping[str, Any]:
        """A mapping with no other keys than these; each unknown one is a defect."""
        if not isinstance(value, Mapping):
            self.wrong(field, f"expected fields ({', '.join(known)}), found {kind_of(value)}")
            return {}
        for key in value:
            if key not in known:
                hint = did_you_mean(str(key), known)
                self.wrong(at(field, key), f"there is no such field here{hint}")
        return {key: value[key] for key in value if key in known}

    def mapping(self, value: object, field: str) -> Mapping[str, Any]:
        """A mapping with any keys."""
        if not isinstance(value, Mapping):
            self.wrong(field, f"expected names with values, found {kind_of(value)}")
            return {}
        return value

    def items(self, value: object, field: str, most: int) -> list[Any]:
        """A list that is not empty."""
        if not isinstance(value, list):
            self.wrong(field, f"expected a list, found {kind_of(value)}")
            return []
        if not value:
            self.wrong(field, "the list is empty")
        if len(value) > most:
            self.wrong(field, f"{len(value)} entries; at most {most}")
            return []
        return value

    def text(self, value: object, field: str, *, most: int = 500) -> str:
        """A string with something in it."""
        if not isinstance(value, str):
            hint = ": quote it" if isinstance(value, bool | int | float) else ""
            self.wrong(field, f"expected a text, found {kind_of(value)}{hint}")
            return ""
        if not value.strip() or len(value) > most:
            self.wrong(field, f"expected 1 to {most} characters")
        return value

    def integer(self, value: object, field: str, least: int, most: int) -> int:
        """A whole number within bounds."""
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            found = kind_of(value) if not isinstance(value, int | float) else value
            self.wrong(field, f"expected a whole number from {least} to {most}, found {found}")
            return least
        return value

    def seconds(self, value: object, field: str, least: float, most: float) -> float:
        """A number of seconds within bounds."""
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not least <= value <= most
        ):
            found = kind_of(value) if not isinstance(value, int | float) else value
            self.wrong(field, f"expected seconds from {least:g} to {most:g}, found {found}")
            return least
        return float(value)


def at(field: str, key: object) -> str:
    """The path of a field within another one."""
    return f"{field}.{key}" if field else str(key)


def kind_of(value: object) -> str:
    """What a value is, in words."""
    if value is None:
        return "nothing"
    for kind, name in ((bool, "yes or no"), (str, "a text"), (int | float, "a number")):
        if isinstance(value, kind):
            return name
    if isinstance(value, Mapping):
        return "fields"
    return "a list" if isinstance(value, list) else type(value).__name__


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint to append to a reason: the nearest name, or else which ones there are."""
    names = sorted(known)
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    if not names:
        return ""
    more = ", …" if len(names) > MAX_NAMES_TOLD else ""
    return f"; there are {', '.join(names[:MAX_NAMES_TOLD])}{more}"


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
