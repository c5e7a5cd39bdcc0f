"""Words with stars in them (H*kenkr**z). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from services.safety.domain.normalize import fold_word

MIN_MASKED_LETTERS = 4
# Whole runs, looked at afterwards: a pattern for letter-star-letter would try every letter anew.
_RUN = re.compile(r"[\w*#]+")

FindHidden = Callable[[str], Iterator[tuple[int, int, int]]]


def find_hidden(terms: Mapping[str, int]) -> FindHidden:
    """Return a function from units to (number, first unit, last unit) of hidden terms.

    Args:
        terms: single words (others are passed over) and the number to report for each.
    """
    words = {fold_word(term): number for term, number in terms.items()}
    words = {word: number for word, number in words.items() if word.isalpha()}
    # A mask shows the length and the first and last letter, so few words are compared.
    masked: dict[tuple[int, str], list[tuple[str, int]]] = {}
    for word, number in words.items():
        if len(word) >= MIN_MASKED_LETTERS:
            masked.setdefault((len(word), word[0]), []).append((word, number))

    def find(units: str) -> Iterator[tuple[int, int, int]]:
        if "*" not in units and "#" not in units:
            return
        for found in _RUN.finditer(units):
            mask = found[0].strip("*#")
            hidden = mask.count("*") + mask.count("#")
            if not hidden or hidden * 2 > len(mask):
                continue
            start = found.start() + found[0].index(mask)
            for word, number in masked.get((len(mask), mask[0]), ()):
                if all(m in ("*", "#", w) for m, w in zip(mask, word, strict=True)):
                    yield number, start, start + len(mask) - 1

    return find
