"""Terms in a text: found by the automaton, decided by the words they stand in. Pure, linear."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, product
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick

from services.safety.domain.normalize import fold_word
from services.safety.domain.readings import NO_SYMBOLS
from services.safety.domain.standing import WIDEN_LETTERS, Mode, Pattern, Term, stands
from services.safety.domain.tokens import Letters, split
from services.safety.domain.vocabulary import NO_VOCABULARY, Vocabulary

__all__ = ["Cover", "Match", "Matcher", "Mode", "Term", "starred"]

# Terms without their dots ("Fuhrer"); shorter ones become other words (töten, Toten).
MIN_DOTLESS_LETTERS = 7
_NOTHING: frozenset[int] = frozenset()


class Match(NamedTuple):
    """An owner's term was found: in which units, and at which words of the text.

    `whole_first` and `whole_last` are the units of the whole words it stands in. A tuple, because
    a text may hold thousands.
    """

    word: int
    last_word: int
    first: int
    last: int
    whole_first: int
    whole_last: int
    owner: int


class Matcher:
    """Finds terms in the readings of a text, in one pass over each (Aho and Corasick, 1975)."""

    def __init__(self, terms: Sequence[Term], vocabulary: Vocabulary = NO_VOCABULARY) -> None:
        self._vocabulary = vocabulary
        patterns: dict[str, dict[Pattern, None]] = {}
        for term in terms:
            for pattern in _patterns_of(term):
                patterns.setdefault(pattern.letters, {})[pattern] = None
        self._patterns = [tuple(found) for found in patterns.values()]
        # Whether one of them may stand elsewhere than at the beginning of a word.
        self._anywhere = [
            any(pattern.term.mode in (Mode.COMPOUND, Mode.SYMBOL) for pattern in found)
            for found in self._patterns
        ]
        # It takes words literally: ``(`` is a parenthesis.
        self._automaton = AhoCorasick(list(patterns))

    def find(self, readings: Sequence[Letters]) -> list[Match]:
        """Return every match in every reading, in the order they stand."""
        found = [match for letters in readings for match in self._find_in(letters)]
        return sorted(found if len(readings) == 1 else set(found))

    def _find_in(self, letters: Letters) -> Iterator[Match]:
        unit, bound, starts = letters.unit, letters.bound, letters.starts
        numbering = letters.numbering
        for key, start, end in self._automaton.find_matches_as_indexes(
            letters.text, overlapping=True
        ):
            if not bound[start] and not self._anywhere[key]:
                continue
            place: tuple[int, int, int, int, int, int] | None = None
            for pattern in self._patterns[key]:
                if not stands(pattern, letters, start, end, self._vocabulary):
                    continue
                if place is None:
                    first, last = unit[start], unit[end - 1]
                    low = max(starts[bisect_right(starts, start) - 1], start - WIDEN_LETTERS)
                    high = min(starts[bisect_left(starts, end)], end + WIDEN_LETTERS)
                    word, last_word = bisect_right(numbering, first), bisect_right(numbering, last)
                    place = word, last_word, first, last, unit[low], unit[high - 1]
                yield Match(*place, pattern.term.owner)


def starred(word: str, owner: int) -> Term:
    """Return a term written as a word, a stem (``Verbot*``) or a part (``*unterricht*``)."""
    if word.startswith("*"):
        return Term(word.strip("*"), owner, Mode.COMPOUND)
    if word.endswith("*"):
        return Term(word[:-1], owner, Mode.PREFIX)
    return Term(word, owner, Mode.WORD)


class Cover:
    """Innocent places; a match that lies within one of them is none."""

    def __init__(self, innocent: Iterable[Match]) -> None:
        spans = sorted((match.whole_first, match.whole_last) for match in innocent)
        self._starts = [start for start, _ in spans]
        self._ends = list(accumulate((end for _, end in spans), max))

    def covers(self, match: Match) -> bool:
        """Whether the match lies within an innocent place."""
        at = bisect_right(self._starts, match.first) - 1
        return at >= 0 and self._ends[at] >= match.last


def _patterns_of(term: Term) -> Iterator[Pattern]:
    if term.text.isascii() and term.text.isalpha():
        # Most are one plain word, which is spelled in one way and has nothing inside.
        yield Pattern(fold_word(term.text), term, _NOTHING, _NOTHING, ())
        return
    # Nobody writes a term with symbols for letters, so symbols in it are punctuation.
    words = [split(fold_word(w).translate(NO_SYMBOLS)) for w in term.text.split()]
    words = [word for word in words if word.text]
    # Punctuation inside a word of a term may be there, and need not.
    choices = [dict.fromkeys((w.text, _spelled(w.text), _dotless(w.text))) for w in words]
    for chosen in product(*choices):
        begins = [0, *accumulate(len(word) for word in chosen)]
        own = frozenset(begins[1:-1])
        soft = frozenset(
            begin + k for begin, w in zip(begins, words, strict=False) for k in w.starts[1:-1]
        )
        letters = "".join(chosen)
        numbers = (k for k in own if letters[k - 1].isdigit() and letters[k].isdigit())
        yield Pattern(letters, term, own, soft, tuple(numbers))


def _spelled(word: str) -> str:
    return word.replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")


def _dotless(word: str) -> str:
    if len(word) < MIN_DOTLESS_LETTERS:
        return word
    return word.replace("ä", "a").replace("ö", "o").replace("ü", "u")
