"""Terms in a text: found by the automaton, decided by the words they stand in. Pure, linear.

A term is found anywhere in the letters; whether that is a hit depends on where words begin and
end. How a term may stand in a word (its mode):

- word: a whole word, or one with an inflection of its language
- prefix: the beginning of a word (a stem)
- compound: as word, or with at least three more letters before it, after it, or both
- symbol: anywhere, also alone

Separators inside a term (H.a.k.e.n) are looked through when nothing innocent is likely to look
like that: see `_is_one_word`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, product
from typing import NamedTuple

from services.safety.domain.automaton import Automaton
from services.safety.domain.normalize import Folded, fold_word
from services.safety.domain.readings import NO_SYMBOLS, read
from services.safety.domain.tokens import INSIDE, LOOSE, TIGHT, Letters, Words, split

MAX_INFLECTION_LETTERS = 5
MIN_COMPOUND_LETTERS = 3
# "Haken kreuz" is a word torn apart; "pen is" and "hero in" are two words.
MIN_TORN_LETTERS = 8
# The same, held together by punctuation: "na-zi", "Hit-\nler".
MIN_HYPHENATED_LETTERS = 3
# Shorter ones count only if they are all that is spelled: "s e x", not "e s s e x".
MIN_SPELLED_INSIDE_LETTERS = 4
# Terms without their dots ("Fuhrer"); shorter ones become other words (töten, Toten).
MIN_DOTLESS_LETTERS = 7
WIDEN_LETTERS = 40


class Mode(StrEnum):
    """How a term may stand in a word."""

    WORD = "word"
    PREFIX = "prefix"
    COMPOUND = "compound"
    SYMBOL = "symbol"


@dataclass(frozen=True, slots=True)
class Term:
    """One thing to look for, on behalf of an owner (an index of the caller's).

    `apart` asks that the words of the term really are apart ("pen is", not "penis").
    """

    text: str
    owner: int
    mode: Mode = Mode.WORD
    inflections: frozenset[str] = frozenset()
    apart: bool = False


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


@dataclass(frozen=True, slots=True)
class _Pattern:
    letters: str
    term: Term
    # Offsets at which the term's own words begin.
    own: frozenset[int]
    # Those of them between two numbers: 14/88 is not the year 1488.
    numbers: tuple[int, ...]


def read_text(folded: Folded) -> tuple[Letters, ...]:
    """Return the letters of every reading of a text."""
    return tuple(split(reading) for reading in read(folded.units))


class Matcher:
    """Finds terms in the readings of a text."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self._patterns = list(dict.fromkeys(p for term in terms for p in _patterns_of(term)))
        self._automaton = Automaton([pattern.letters for pattern in self._patterns])

    def find(self, readings: Sequence[Letters]) -> list[Match]:
        """Return every match in every reading, in the order they stand."""
        found = [match for letters in readings for match in self._find_in(letters)]
        return sorted(found if len(readings) == 1 else set(found))

    def _find_in(self, letters: Letters) -> Iterator[Match]:
        words: Words | None = None
        unit = letters.unit
        for end, number in self._automaton.find(letters.text):
            pattern = self._patterns[number]
            start = end - len(pattern.letters)
            if not _stands(pattern, letters, start, end):
                continue
            words = words or letters.words()
            low = max(words.start[start], start - WIDEN_LETTERS)
            high = min(words.end[end - 1], end + WIDEN_LETTERS)
            yield Match(
                words.number[start],
                words.number[end - 1],
                unit[start],
                unit[end - 1],
                unit[low],
                unit[high - 1],
                pattern.term.owner,
            )


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


def _patterns_of(term: Term) -> Iterator[_Pattern]:
    # Nobody writes a term with symbols for letters, so symbols in it are punctuation.
    words = [split(fold_word(w).translate(NO_SYMBOLS)).text for w in term.text.split()]
    # Punctuation inside a word of a term is no boundary of its own: looked through as usual.
    choices = [dict.fromkeys((word, _spelled(word), _dotless(word))) for word in words if word]
    for chosen in product(*choices):
        own = frozenset(list(accumulate(len(word) for word in chosen))[:-1])
        letters = "".join(chosen)
        numbers = (k for k in own if letters[k - 1].isdigit() and letters[k].isdigit())
        yield _Pattern(letters, term, own, tuple(numbers))


def _spelled(word: str) -> str:
    return word.replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")


def _dotless(word: str) -> str:
    if len(word) < MIN_DOTLESS_LETTERS:
        return word
    return word.replace("ä", "a").replace("ö", "o").replace("ü", "u")


def _stands(pattern: _Pattern, letters: Letters, start: int, end: int) -> bool:
    term = pattern.term
    if term.mode is Mode.SYMBOL:
        return True
    bound = letters.bound
    if not bound[start] and not (
        term.mode is Mode.COMPOUND
        and start >= MIN_COMPOUND_LETTERS
        and LOOSE not in bound[start - MIN_COMPOUND_LETTERS + 1 : start]
    ):
        return False
    if not bound[end] and not _may_go_on(term, letters, end):
        return False
    if term.apart:
        return all(bound[start + offset] for offset in pattern.own) and not any(
            bound[k] for k in range(start + 1, end) if k - start not in pattern.own
        )
    if pattern.numbers and any(bound[start + offset] == INSIDE for offset in pattern.numbers):
        return False
    inner = end - start - 1
    return bound.count(INSIDE, start + 1, end) == inner or _is_one_word(
        pattern, letters, start, end
    )


def _may_go_on(term: Term, letters: Letters, end: int) -> bool:
    """Whether what follows the term within its word belongs to it."""
    if term.mode is Mode.PREFIX:
        return True
    # The word may go on behind a hyphen ("Hakenkreuzf-ahne"), or end there.
    hyphenated = _rest(letters, end, LOOSE)
    if term.mode is Mode.COMPOUND and len(hyphenated) >= MIN_COMPOUND_LETTERS:
        return True
    return hyphenated in term.inflections or _rest(letters, end, TIGHT) in term.inflections


def _rest(letters: Letters, end: int, boundary: int) -> str:
    """Return the letters from `end` to a boundary of this kind, or a few if there are many."""
    bound, stop = letters.bound, end + 1
    while stop - end <= MAX_INFLECTION_LETTERS and bound[stop] < boundary:
        stop += 1
    return letters.text[end:stop]


def _is_one_word(pattern: _Pattern, letters: Letters, start: int, end: int) -> bool:
    """Whether letters that stand apart were meant to be read together."""
    bound = letters.bound
    foreign = [k for k in range(start + 1, end) if bound[k] and k - start not in pattern.own]
    if not foreign:
        return True
    length = end - start
    if all(bound[start : end + 1]):
        return length >= MIN_SPELLED_INSIDE_LETTERS or (
            length >= MIN_COMPOUND_LETTERS and _is_all_that_is_spelled(letters, start, end)
        )
    if any(bound[k] == LOOSE for k in foreign):
        return length >= MIN_TORN_LETTERS
    return length >= MIN_HYPHENATED_LETTERS


def _is_all_that_is_spelled(letters: Letters, start: int, end: int) -> bool:
    bound = letters.bound
    before = start > 0 and bound[start - 1]
    after = end < len(letters.text) and bound[end + 1]
    return not before and not after
