"""The letters of a reading without what separates them, and where words begin. Pure, linear."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate

from services.safety.domain.normalize import DASH, FILL, NEWLINE, SPACE, STOP

INSIDE, TIGHT, LOOSE = 0, 1, 2
_WORD = re.compile(f"[^{SPACE}{NEWLINE}{STOP}{FILL}\\{DASH}]+")


@dataclass(frozen=True, slots=True)
class Letters:
    """A reading as one string of letters and digits.

    Attributes:
        text: the letters, n of them.
        unit: for each letter the unit it came from.
        bound: n + 1 values; what lies before letter i: INSIDE a word, TIGHT (punctuation only)
            or LOOSE (white space, or the start or end of the text).
    """

    text: str
    unit: list[int]
    bound: bytearray

    def word_numbers(self) -> list[int]:
        """For each letter the number of its word, from 1."""
        return list(accumulate(1 if bound else 0 for bound in self.bound[:-1]))

    def word_span(self, start: int, end: int, reach: int) -> tuple[int, int]:
        """Widen letters [start, end) to whole words, by at most `reach` letters each way."""
        bound = self.bound
        low, high = max(0, start - reach), min(len(self.text), end + reach)
        while start > low and not bound[start]:
            start -= 1
        while end < high and not bound[end]:
            end += 1
        return start, end


def split(reading: str) -> Letters:
    """Return the letters of a reading."""
    words: list[str] = []
    unit: list[int] = []
    bound = bytearray()
    end = 0
    for found in _WORD.finditer(reading):
        start = found.start()
        bound.append(_between(reading[end:start]) if words else LOOSE)
        end = found.end()
        bound.extend(bytes(end - start - 1))
        words.append(found[0])
        unit.extend(range(start, end))
    bound.append(LOOSE)
    return Letters("".join(words), unit, bound)


def _between(gap: str) -> int:
    if SPACE in gap or NEWLINE in gap:
        return LOOSE
    return TIGHT if STOP in gap or DASH in gap else INSIDE
