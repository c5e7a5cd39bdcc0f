"""Depictions: what a technique that describes has to say, as data.

A depiction is an order of pools of sentences. From each pool one sentence is drawn that fits the
text: by what its subject is, by what surrounds it, and by whether the text has what the sentence
speaks of. `lexicon/depictions/*.yaml` are such; a new way of seeing needs a file and no code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# What a sentence may speak of: subject, surroundings, another thing, the text itself, how it
# begins, its adjectives, the other things as a list.
PLACES = frozenset("abctsqx")
# A text always has these; a depiction must be able to speak with them alone.
ALWAYS = frozenset("ats")
BREAKS: Mapping[str, str] = {"/": "\n", "//": "\n\n"}

_PLACE = re.compile(r"\{(?:\w+ )?(\w+)\}")


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence; `category` is what its noun must be, "any" for all."""

    category: str
    text: str

    @property
    def needs(self) -> frozenset[str]:
        """The places it has, lower case."""
        return frozenset(name.lower() for name in _PLACE.findall(self.text))


@dataclass(frozen=True, slots=True)
class Part:
    """One place in the order: the first of these pools that has a sentence, or a break.

    With `by_pass` it is the one pool with the number of the pass, so that the passes of a split
    say different things.
    """

    pools: tuple[str, ...]
    optional: bool = False
    by_pass: bool = False
    line_break: str = ""

    def pools_for(self, number: int) -> tuple[str, ...]:
        """The pools for pass `number`, from 1; there are as many passes as one likes."""
        return (self.pools[(number - 1) % len(self.pools)],) if self.by_pass else self.pools


@dataclass(frozen=True, slots=True)
class Depiction:
    """The order and its pools."""

    order: tuple[Part, ...]
    pools: Mapping[str, tuple[Line, ...]]

    def fitting(self, pool: str, category: str, places: frozenset[str]) -> Sequence[Line]:
        """The sentences of a pool that can be said: those for the category before those for all."""
        sayable = [line for line in self.pools[pool] if line.needs <= places]
        own = [line for line in sayable if line.category == category]
        return own or [line for line in sayable if line.category == "any"]


def parse_depiction(document: Mapping[str, str], categories: frozenset[str]) -> Depiction:
    """A depiction from its lines. Raises ValueError with pool and reason."""
    if "order" not in document:
        raise ValueError("order: missing")
    pools = {
        name: tuple(_line(name, line, categories) for line in _lines(name, text))
        for name, text in document.items()
        if name != "order"
    }
    order = tuple(_part(token, pools) for token in document["order"].split())
    named = {pool for part in order for pool in part.pools}
    if named != set(pools):
        odd = ", ".join(sorted(named ^ set(pools)))
        raise ValueError(f"order: names a pool that is missing, or misses one: {odd}")
    found = Depiction(order, pools)
    for part in order:
        if part.line_break or part.optional:
            continue
        silent = [pool for pool in part.pools if not found.fitting(pool, "any", ALWAYS)]
        if silent if part.by_pass else len(silent) == len(part.pools):
            raise ValueError(f"{part.pools[-1]}: has nothing to say about a text of one thing")
    return found


def _lines(name: str, text: object) -> list[str]:
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name}: expected text")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _line(pool: str, text: str, categories: frozenset[str]) -> Line:
    category, bar, rest = (part.strip() for part in text.partition(" | "))
    line = Line(category, rest) if bar else Line("any", text)
    if line.category not in categories | {"any"}:
        raise ValueError(f"{pool}: there are no nouns of the kind {line.category}")
    if line.category != "any" and role_of(pool) == "":
        raise ValueError(f"{pool}: only pools named subject… and ground… may tell kinds apart")
    if not line.needs <= PLACES:
        raise ValueError(f"{pool}: unknown place in: {text}")
    return line


def _part(token: str, pools: Mapping[str, object]) -> Part:
    if token in BREAKS:
        return Part((), line_break=BREAKS[token])
    if token.endswith("#"):
        numbered = tuple(sorted(each for each in pools if each.startswith(token[:-1])))
        if not numbered:
            raise ValueError(f"order: there are no pools {token}")
        return Part(numbered, by_pass=True)
    return Part(tuple(token.rstrip("?").split("|")), optional=token.endswith("?"))


def role_of(pool: str) -> str:
    """Which noun chooses among the sentences of a pool: "a", "b" or ""."""
    return "a" if pool.startswith("subject") else "b" if pool.startswith("ground") else ""
