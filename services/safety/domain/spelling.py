"""Long words with a slip of the keyboard in them. Pure, linear.

A word is looked up by what is left of its first letters when one or two are taken away (the
neighbourhood of deletions, as SymSpell does it), so that few terms are compared: how many terms
there are does not matter. Compared is by the optimal string alignment distance: one letter added,
missing, changed, or two that changed places.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

from rapidfuzz.distance import OSA

from services.safety.domain.vocabulary import Vocabulary

# A slip makes another word of a short one too easily.
MIN_LETTERS = 8
MIN_LETTERS_FOR_TWO = 12
_PREFIX_LETTERS = 7


@dataclass(frozen=True, slots=True)
class LongTerm:
    """A single word that is looked for, and what may follow it."""

    letters: str
    inflections: frozenset[str]
    is_compound: bool

    @property
    def slips(self) -> int:
        """How many slips it is recognised with."""
        return 2 if len(self.letters) >= MIN_LETTERS_FOR_TWO else 1


class Speller:
    """Knows what a word that does not exist was meant to be, if that is a listed one."""

    def __init__(self, terms: Iterable[LongTerm], vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._by_rest: dict[tuple[str, ...], dict[LongTerm, None]] = {}
        for term in terms:
            if len(term.letters) >= MIN_LETTERS and term.letters.isalpha():
                for rest in _rests(term.letters, term.slips):
                    self._by_rest.setdefault(rest, {})[term] = None

    def correct(self, word: str) -> str | None:
        """Return the word without its slips, or None if it is near no term.

        Args:
            word: folded, at most 40 letters, in no vocabulary.
        """
        if len(word) < MIN_LETTERS - 1:
            return None
        slips = 2 if len(word) >= MIN_LETTERS_FOR_TWO - 2 else 1
        near: dict[LongTerm, None] = {}
        for rest in _rests(word, slips):
            if rest in self._by_rest:
                near.update(self._by_rest[rest])
        return next((meant for term in near if (meant := self._as(word, term)) is not None), None)

    def _as(self, word: str, term: LongTerm) -> str | None:
        """Return the word as an inflection or a compound of a term."""
        length, slips = len(term.letters), term.slips
        for cut in sorted(range(length - slips, length + slips + 1), key=lambda c: c != len(word)):
            if cut > len(word):
                continue
            rest = word[cut:]
            if OSA.distance(word[:cut], term.letters, score_cutoff=slips) > slips:
                continue
            if not rest or rest in term.inflections:
                return term.letters + rest
            if term.is_compound and self._vocabulary.is_part(rest, first=False):
                return term.letters + rest
        return None


def _rests(word: str, slips: int) -> Iterator[tuple[str, ...]]:
    """Yield what the first letters are when up to `slips` of them are taken away."""
    prefix = word[:_PREFIX_LETTERS]
    for count in range(slips + 1):
        yield from combinations(prefix, len(prefix) - count)
