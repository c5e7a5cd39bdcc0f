"""The letters of a reading without what separates them, and where words begin. Pure, linear."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from services.safety.domain.normalize import DASH, FILL, NEWLINE, SPACE, STOP

INSIDE, TIGHT, LOOSE = 0, 1, 2
_WORD = re.compile(f"[^{SPACE}{NEWLINE}{STOP}{FILL}\\{DASH}]+")


class Words(NamedTuple):
    """For each letter the number of its word, from 1, and where that word starts and ends."""

    number: list[int]
    start: list[int]
    end: list[int]


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

    def words(self) -> Words:
        """Return, for each letter, which word it belongs to."""
        begins = [position if bound else 0 for position, bound in enumerate(self.bound)]
        starts = list(accumulate(begins[:-1], max))
        # The end of a word is the nearest boundary behind, so look from the back.
        last = len(self.text)
        ends_back = accumulate(
            (i if self.bound[i] else last for i in range(last, 0, -1)), min, initial=last
        )
        ends = list(ends_back)[:0:-1]
        return Words(list(accumulate(map(bool, self.bound[:-1]))), starts, ends)


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
