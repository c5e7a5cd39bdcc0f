"""Conditions of paths. Pure.

`always` holds however a step ended. Every other condition that does not speak of an `outcome` holds
only when the step succeeded: a comparison with the output of a step that failed says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from services.kit.errors import FailedPrecondition
from services.orchestrator.engine.pattern import MAX_TEXT, Pattern
from services.orchestrator.engine.step import Json
from services.orchestrator.engine.template import Filling, Template, fill, is_there, templates_in

Ended = Literal["succeeded", "blocked", "failed"]
ENDED: tuple[Ended, ...] = ("succeeded", "blocked", "failed")
Comparison = Literal[
    "equals", "not_equals", "greater", "greater_or_equal", "less", "less_or_equal", "in"
]
COMPARISONS: tuple[Comparison, ...] = (
    "equals",
    "not_equals",
    "greater",
    "greater_or_equal",
    "less",
    "less_or_equal",
    "in",
)


@dataclass(frozen=True, slots=True)
class Always:
    """However the step ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The step before ended like this."""

    state: Ended


@dataclass(frozen=True, slots=True)
class Compare:
    """Two values beside each other."""

    how: Comparison
    left: Filling
    right: Filling


@dataclass(frozen=True, slots=True)
class Matches:
    """A pattern is found in a text."""

    text: Filling
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Exists:
    """A value is there and not null."""

    template: Template


@dataclass(frozen=True, slots=True)
class Every:
    """All hold; looked at from the first on, only as far as needed."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one holds; looked at from the first on, only as far as needed."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold."""

    part: Condition


Condition = Always | Outcome | Compare | Matches | Exists | Every | Some | Not
SUCCEEDED = Outcome("succeeded")


def holds(condition: Condition, state: Ended, known: Mapping[str, Json]) -> bool:
    """Whether a path is taken after a step that ended in this state.

    Raises FailedPrecondition TEMPLATE_VALUE_MISSING, TEMPLATE_VALUE_TOO_LONG or
    CONDITION_VALUES_UNFIT (values that cannot be compared like this).
    """
    if state != "succeeded" and not _speaks_of_outcome(condition):
        return False
    return _holds(condition, state, known)


def templates_of(condition: Condition) -> Iterator[tuple[Template, bool]]:
    """Every template, and whether it may be without a value (inside of `exists`)."""
    if isinstance(condition, Exists):
        yield condition.template, True
    elif isinstance(condition, Compare):
        for side in (condition.left, condition.right):
            yield from ((template, False) for template in templates_in(side))
    elif isinstance(condition, Matches):
        yield from ((template, False) for template in templates_in(condition.text))
    else:
        for part in _parts(condition):
            yield from templates_of(part)


def _parts(condition: Condition) -> tuple[Condition, ...]:
    if isinstance(condition, Every | Some):
        return condition.parts
    return (condition.part,) if isinstance(condition, Not) else ()


def _speaks_of_outcome(condition: Condition) -> bool:
    if isinstance(condition, Always | Outcome):
        return True
    return any(_speaks_of_outcome(part) for part in _parts(condition))


def _holds(condition: Condition, state: Ended, known: Mapping[str, Json]) -> bool:
    match condition:
        case Always():
            return True
        case Outcome():
            return condition.state == state
        case Compare():
            return _compare(
                condition.how, fill(condition.left, known), fill(condition.right, known)
            )
        case Matches():
            return _matches(condition, fill(condition.text, known))
        case Exists():
            return is_there(condition.template, known)
        case Every():
            return all(_holds(part, state, known) for part in condition.parts)
        case Some():
            return any(_holds(part, state, known) for part in condition.parts)
        case Not():
            return not _holds(condition.part, state, known)


def _matches(condition: Matches, text: Json) -> bool:
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise _unfit(f"matches looks into a text of at most {MAX_TEXT} characters")
    return condition.pattern.found_in(text)


def _compare(how: Comparison, left: Json, right: Json) -> bool:
    if how == "equals":
        return same(left, right)
    if how == "not_equals":
        return not same(left, right)
    if how == "in":
        if isinstance(right, str) and isinstance(left, str):
            return left in right
        if isinstance(right, list | tuple):
            return any(same(left, one) for one in right)
        raise _unfit("in looks for a value in a list, or for a text in a text")
    if _is_number(left) and _is_number(right):
        return _ordered(how, float(left), float(right))  # type: ignore[arg-type]
    if isinstance(left, str) and isinstance(right, str):
        return _ordered(how, left, right)
    raise _unfit(f"{how} compares two numbers or two texts")


def _ordered(how: str, left: float | str, right: float | str) -> bool:
    order = (left > right) - (left < right)  # type: ignore[operator]  # both are of one kind
    return {
        "greater": order > 0,
        "greater_or_equal": order >= 0,
        "less": order < 0,
        "less_or_equal": order <= 0,
    }[how]


def same(left: Json, right: Json) -> bool:
    """Whether two JSON values are equal: 1 is 1.0, but true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == right


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unfit(message: str) -> FailedPrecondition:
    return FailedPrecondition("CONDITION_VALUES_UNFIT", message)
