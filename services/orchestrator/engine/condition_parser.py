"""Reads conditions, each defect with its field. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from services.orchestrator.engine.condition import (
    COMPARISONS,
    ENDED,
    Always,
    Compare,
    Condition,
    Every,
    Exists,
    Matches,
    Not,
    Outcome,
    Some,
)
from services.orchestrator.engine.pattern import Pattern, PatternError
from services.orchestrator.engine.reader import Reader, at, did_you_mean, kind_of
from services.orchestrator.engine.template import Filling, Template, TemplateError, parse_filling

NAMES = (*COMPARISONS, "matches", "exists", "all", "any", "not", "outcome")
MAX_DEPTH = 8
MAX_PARTS = 20


def parse_condition(reader: Reader, value: object, place: str, depth: int = 1) -> Condition:
    """Return what a file says at a place; after a defect something that stands for it."""
    if depth > MAX_DEPTH:
        reader.wrong(place, f"conditions within one another, more than {MAX_DEPTH} deep")
        return Always()
    if value == "always":
        return Always()
    if isinstance(value, str):
        hint = did_you_mean(value, ("always",)) if value in _SPELT else ""
        reader.wrong(place, f"as one word there is only always{hint or _fields_hint(value)}")
        return Always()
    if not isinstance(value, Mapping) or len(value) != 1:
        found = kind_of(value) if not isinstance(value, Mapping) else f"{len(value)} fields"
        hint = "; write several as all: or any:" if isinstance(value, Mapping) and value else ""
        reader.wrong(place, f"expected one condition, found {found}{hint}")
        return Always()
    ((name, inner),) = value.items()
    if name not in NAMES:
        reader.wrong(at(place, name), f"there is no such condition{did_you_mean(str(name), NAMES)}")
        return Always()
    where = at(place, name)
    if name in COMPARISONS:
        left, right = _pair(reader, inner, where)
        return Compare(name, left, right)
    if name in ("all", "any"):
        rows = reader.items(inner, where, MAX_PARTS)
        parts = tuple(
            parse_condition(reader, row, at(where, number), depth + 1)
            for number, row in enumerate(rows)
        )
        return Every(parts) if name == "all" else Some(parts)
    if name == "not":
        return Not(parse_condition(reader, inner, where, depth + 1))
    if name == "outcome":
        return _outcome(reader, inner, where)
    return _exists(reader, inner, where) if name == "exists" else _matches(reader, inner, where)


_SPELT = ("Always", "ALWAYS", "allways", "alway")


def _fields_hint(word: str) -> str:
    if word in ENDED:
        return f"; did you mean outcome: {word}?"
    return did_you_mean(word, NAMES)


def _outcome(reader: Reader, value: object, place: str) -> Condition:
    for state in ENDED:
        if value == state:
            return Outcome(state)
    hint = did_you_mean(value, ENDED) if isinstance(value, str) else ""
    told = value if isinstance(value, str) else kind_of(value)
    reader.wrong(place, f"expected succeeded, blocked or failed, found {told}{hint}")
    return Always()


def _pair(reader: Reader, value: object, place: str) -> tuple[Filling, Filling]:
    if not isinstance(value, list) or len(value) != 2:
        found = f"{len(value)} values" if isinstance(value, list) else kind_of(value)
        reader.wrong(place, f"expected a list of two values, found {found}")
        return None, None
    left, right = (_filling(reader, one, at(place, n)) for n, one in enumerate(value))
    return left, right


def _filling(reader: Reader, value: object, place: str) -> Filling:
    try:
        return parse_filling(value)  # type: ignore[arg-type]  # a file of JSON values
    except TemplateError as error:
        reader.wrong(place, str(error))
        return None


def _exists(reader: Reader, value: object, place: str) -> Condition:
    filling = _filling(reader, value, place)
    if isinstance(filling, Template):
        return Exists(filling)
    if filling is not None or value is None:
        reader.wrong(place, 'expected one template, as in "{{ input.text }}"')
    return Always()


def _matches(reader: Reader, value: object, place: str) -> Condition:
    text, pattern = _pair(reader, value, place)
    if not isinstance(value, list) or len(value) != 2:
        return Always()
    if not isinstance(value[1], str) or not isinstance(pattern, str):
        reader.wrong(at(place, 1), "expected a pattern, a text without templates")
        return Always()
    try:
        # As written: the braces of a pattern are counts.
        return Matches(text, Pattern(value[1]))
    except PatternError as error:
        reader.wrong(at(place, 1), str(error))
        return Always()
