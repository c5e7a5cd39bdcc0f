"""The letters of a reading without what separates them, and where words begin. Pure, linear."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.safety.domain.normalize import DASH, FILL, NEWLINE, SPACE, STOP

INSIDE, TIGHT, LOOSE = 0, 1, 2
# So many words around a change are read again with it: longer than any phrase of a list.
CONTEXT_WORDS = 32
_WORD = re.compile(f"[^{SPACE}{NEWLINE}{STOP}{FILL}\\{DASH}]+")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Letters:
    """A reading, or parts of one, as one string of letters and digits.

    Attributes:
        text: the letters, n of them.
        unit: for each letter the unit it came from.
        bound: n + 1 values; what lies before letter i: INSIDE a word, TIGHT (punctuation only)
            or LOOSE (white space, or the start or end of the text or part).
        starts: where words begin, in order, and n.
        numbering: the units at which the words of the plain reading begin.
    """

    text: str
    unit: Sequence[int]
    bound: bytearray
    starts: Sequence[int]
    numbering: Sequence[int]

    def words(self) -> list[str]:
        """Return the words, in order."""
        starts, text = self.starts, self.text
        return [text[starts[i] : starts[i + 1]] for i in range(len(starts) - 1)]


def split(reading: str) -> Letters:
    """Return the letters of a whole reading."""
    return _split(reading, [(0, len(reading))], None)


def split_changes(reading: str, plain: str, like: Letters) -> Letters:
    """Return the letters of the parts of a reading that differ from the plain one, in context.

    Args:
        reading: of the same length as `plain`.
        plain: the plain reading.
        like: its letters.
    """
    places = [*like.numbering[::CONTEXT_WORDS], len(plain)]
    places[0] = 0
    changed = [i for i in range(len(places) - 1) if _differ(reading, plain, *places[i : i + 2])]
    spans = _merged((max(i - 1, 0), min(i + 2, len(places) - 1)) for i in changed)
    return _split(reading, [(places[a], places[b]) for a, b in spans], like.numbering)


def replace_words(letters: Letters, words: Mapping[int, str]) -> Letters:
    """Return the parts of a reading around some words, given by their number, with others there.

    A replacement stands in the units of the word it replaces.
    """
    last = len(letters.starts) - 1
    spans = _merged(
        (max(i - CONTEXT_WORDS, 0), min(i + CONTEXT_WORDS, last)) for i in sorted(words)
    )
    text: list[str] = []
    unit: list[int] = []
    bound = bytearray()
    starts: list[int] = []
    for first, end in spans:
        for number in range(first, end):
            start, stop = letters.starts[number], letters.starts[number + 1]
            word = words.get(number, letters.text[start:stop])
            starts.append(len(unit))
            bound.append(LOOSE if number == first else letters.bound[start])
            bound.extend(bytes(len(word) - 1))
            text.append(word)
            unit.extend(stretched(letters.unit[start:stop], len(word)))
    starts.append(len(unit))
    bound.append(LOOSE)
    return Letters("".join(text), unit, bound, starts, letters.numbering)


def stretched(units: Sequence[int], length: int) -> list[int]:
    """Return `length` of these units, evenly spread, the first and the last among them."""
    if length == len(units):
        return list(units)
    return [units[i * (len(units) - 1) // max(length - 1, 1)] for i in range(length)]


def _split(reading: str, spans: Sequence[Span], numbering: Sequence[int] | None) -> Letters:
    words: list[str] = []
    unit: list[int] = []
    bound = bytearray()
    starts: list[int] = []
    begins: list[int] = []
    for low, high in spans:
        end = -1
        for found in _WORD.finditer(reading, low, high):
            start, stop = found.span()
            bound.append(LOOSE if end < 0 else _between(reading[end:start]))
            if bound[-1]:
                starts.append(len(unit))
                begins.append(start)
            end = stop
            bound.extend(bytes(end - start - 1))
            words.append(found[0])
            unit.extend(range(start, end))
    bound.append(LOOSE)
    starts.append(len(unit))
    return Letters("".join(words), unit, bound, starts, begins if numbering is None else numbering)


def _differ(reading: str, plain: str, low: int, high: int) -> bool:
    return reading[low:high] != plain[low:high]


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Join spans that touch; they come in the order of their starts."""
    merged: list[Span] = []
    for low, high in spans:
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return merged


def _between(gap: str) -> int:
    if gap == SPACE or SPACE in gap or NEWLINE in gap:
        return LOOSE
    return TIGHT if STOP in gap or DASH in gap else INSIDE
