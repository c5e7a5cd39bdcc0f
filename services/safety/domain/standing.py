"""How a term may stand in a text for it to be meant. Pure.

A term is found anywhere in the letters; whether that is a hit depends on where words begin and
end. How a term may stand in a word (its mode):

- word: a whole word, or one with an inflection of its language
- prefix: the beginning of a word (a stem)
- compound: as word, or with more before it, after it, or both: for long terms anything of three
  letters or more, for shorter ones what can be part of a word (Nazi-aufmarsch, not Ig-nazi-us)
- symbol: anywhere, also alone

Separators inside a term (H.a.k.e.n) are looked through when nothing innocent is likely to look
like that: see `_is_one_word`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from services.safety.domain.tokens import INSIDE, LOOSE, TIGHT, Letters
from services.safety.domain.vocabulary import Vocabulary, is_latin

MAX_INFLECTION_LETTERS = 5
MIN_COMPOUND_LETTERS = 3
# Shorter terms are in too many compounds by chance: hande-LSD-elegierter.
MIN_SPLIT_LETTERS = 4
# Longer terms stand in no innocent word by chance.
MIN_FREE_COMPOUND_LETTERS = 8
# "Haken kreuz" is a word torn apart, whatever its parts; "pen is" and "hero in" are two words.
MIN_TORN_LETTERS = 8
# Shorter ones are torn apart if a part of at least two letters is no word: "Na zi".
MIN_TORN_SHORT_LETTERS, MIN_PIECE_LETTERS = 4, 2
# The same, held together by punctuation: "na-zi", "Hit-\nler".
MIN_HYPHENATED_LETTERS = 3
# Shorter ones count only if they are all that is spelled: "s e x", not "e s s e x".
MIN_SPELLED_INSIDE_LETTERS = 4
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

    `apart` is for innocent words that would be another one together: they have to be words of their
    own ("the pen is blue", also "the-pen-is-blue"; not "penis", nor "a pen-is", unless they are
    `contracted`: "who're").
    """

    text: str
    owner: int
    mode: Mode = Mode.WORD
    inflections: frozenset[str] = frozenset()
    apart: bool = False
    contracted: bool = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """The letters of a term, and where its words begin in them."""

    letters: str
    term: Term
    # Offsets at which the term's own words begin.
    own: frozenset[int]
    # Offsets at which its words have punctuation: don't, e-mail.
    soft: frozenset[int]
    # Offsets of `own` between two numbers: 14/88 is not the year 1488.
    numbers: tuple[int, ...]


def stands(
    pattern: Pattern, letters: Letters, start: int, end: int, vocabulary: Vocabulary
) -> bool:
    """Whether letters `start` to `end` (exclusive) are the term, by the words they stand in."""
    term = pattern.term
    if term.mode is Mode.SYMBOL:
        return True
    bound = letters.bound
    if not bound[start] and not (
        term.mode is Mode.COMPOUND and _may_begin_before(letters, start, end, vocabulary)
    ):
        return False
    if not bound[end] and not _may_go_on(term, letters, start, end, vocabulary):
        return False
    inner = end - start - 1
    if term.apart:
        return (
            all(bound[start + offset] for offset in pattern.own)
            and inner - bound.count(INSIDE, start + 1, end) == len(pattern.own)
            and (term.contracted or not _is_one_chunk(letters, start, end))
        )
    if pattern.numbers and any(bound[start + offset] == INSIDE for offset in pattern.numbers):
        return False
    return bound.count(INSIDE, start + 1, end) == inner or _is_one_word(
        pattern, letters, start, end, vocabulary
    )


def _may_begin_before(letters: Letters, start: int, end: int, vocabulary: Vocabulary) -> bool:
    """Whether what stands before the term within its word can be part of a compound."""
    bound, text = letters.bound, letters.text
    if start < MIN_COMPOUND_LETTERS or LOOSE in bound[start - MIN_COMPOUND_LETTERS + 1 : start]:
        return False
    if end - start >= MIN_FREE_COMPOUND_LETTERS:
        return True
    if end - start < MIN_SPLIT_LETTERS:
        return False
    # The word may have begun before a hyphen ("Riesen-pornofilm", "Rie-senporno").
    low = max(start - WIDEN_LETTERS, 0)
    loose = max(bound.rfind(LOOSE, low, start), low)
    tight = max(bound.rfind(TIGHT, low, start), loose)
    return any(vocabulary.is_part(text[at:start], first=True) for at in {tight, loose})


def _may_go_on(term: Term, letters: Letters, start: int, end: int, vocabulary: Vocabulary) -> bool:
    """Whether what follows the term within its word belongs to it."""
    if term.mode is Mode.PREFIX:
        return True
    # The word may go on behind a hyphen ("Hakenkreuzf-ahne"), or end there.
    hyphenated = _rest(letters, end, LOOSE)
    if hyphenated in term.inflections or _rest(letters, end, TIGHT) in term.inflections:
        return True
    if term.mode is not Mode.COMPOUND or len(hyphenated) < MIN_COMPOUND_LETTERS:
        return False
    if end - start >= MIN_FREE_COMPOUND_LETTERS:
        return True
    rests = {_rest(letters, end, boundary, WIDEN_LETTERS) for boundary in (TIGHT, LOOSE)}
    return any(vocabulary.is_part(rest, first=False) for rest in rests)


def _rest(letters: Letters, end: int, boundary: int, most: int = MAX_INFLECTION_LETTERS) -> str:
    """Return the letters from `end` to a boundary of this kind, or a few if there are many."""
    bound, stop = letters.bound, end + 1
    while stop - end <= most and bound[stop] < boundary:
        stop += 1
    return letters.text[end:stop]


def _is_one_word(
    pattern: Pattern, letters: Letters, start: int, end: int, vocabulary: Vocabulary
) -> bool:
    """Whether letters that stand apart were meant to be read together."""
    bound = letters.bound
    foreign = [
        k
        for k in range(start + 1, end)
        if bound[k] and k - start not in pattern.own and k - start not in pattern.soft
    ]
    if not foreign:
        return True
    length = end - start
    if all(bound[start : end + 1]):
        if not _is_spelled_alone(pattern.term, letters, foreign, start, end):
            return False
        return length >= MIN_SPELLED_INSIDE_LETTERS or (
            length >= MIN_COMPOUND_LETTERS and _is_all_that_is_spelled(letters, start, end)
        )
    torn = list(_torn(pattern, foreign, start, end))
    loose = any(bound[k] == LOOSE for k in foreign)
    if length >= MIN_TORN_LETTERS:
        # "Tim's platters" tears nothing apart, "h akenkreuz" does.
        lone = loose and any(bound[k] and bound[k + 1] for a, b in torn for k in range(a, b))
        return not lone or not _are_words(letters, torn, vocabulary)
    if not vocabulary.languages:
        return not loose and length >= MIN_HYPHENATED_LETTERS
    if not loose and length >= MIN_HYPHENATED_LETTERS:
        # Of a phrase, only the ends have to stand alone: "A-K-47".
        whole = (_is_one_chunk(letters, a, b, first=a == start, last=b == end) for a, b in torn)
        return all(whole) or not _are_words(letters, torn, vocabulary)
    return length >= MIN_TORN_SHORT_LETTERS and not _are_words(letters, torn, vocabulary)


def _is_spelled_alone(
    term: Term, letters: Letters, foreign: Sequence[int], start: int, end: int
) -> bool:
    """Whether single letters are no part of a longer word that is spelled the same way.

    Spaces end what is spelled with dots: "a.t i.t.s" and "s.p.r.i.t.z.p.i.s.t.o.l.e".
    """
    bound = letters.bound
    if all(bound[k] == LOOSE for k in foreign) or end - start >= MIN_FREE_COMPOUND_LETTERS:
        return True
    return (
        all(bound[k] == TIGHT for k in foreign)
        and bound[start] == LOOSE
        and (bound[end] == LOOSE or _rest(letters, end, LOOSE) in term.inflections)
    )


def _torn(
    pattern: Pattern, foreign: Sequence[int], start: int, end: int
) -> Iterator[tuple[int, int]]:
    """Yield where the words of a term stand that are torn apart."""
    cuts = [start, *(start + offset for offset in sorted(pattern.own)), end]
    for a, b in pairwise(cuts):
        if any(a < k < b for k in foreign):
            yield a, b


def _is_one_chunk(
    letters: Letters, start: int, end: int, *, first: bool = True, last: bool = True
) -> bool:
    """Whether these letters stand alone between spaces, parted by punctuation only: "pen-is"."""
    bound = letters.bound
    stop = end
    while stop - end < MAX_INFLECTION_LETTERS and not bound[stop]:
        stop += 1
    inside = bound[start + 1 : stop]
    begins = bound[start] == LOOSE or not first
    ends = bound[stop] == LOOSE or not last
    return begins and ends and TIGHT in inside and LOOSE not in inside


def _are_words(letters: Letters, torn: Sequence[tuple[int, int]], vocabulary: Vocabulary) -> bool:
    """Whether every part of the words that are torn apart is a word of its own."""
    bound, text = letters.bound, letters.text
    for start, end in torn:
        stop = end
        while stop - end < WIDEN_LETTERS and not bound[stop]:
            stop += 1
        cuts = [start, *(k for k in range(start + 1, stop) if bound[k]), stop]
        for a, b in pairwise(cuts):
            # A single letter proves nothing: "Peter's hit" tears no word apart. Nor does what is in
            # another script, of which no words are known ("아홉 시 발표회").
            piece = text[a:b]
            if b - a < MIN_PIECE_LETTERS or not is_latin(piece):
                continue
            if not vocabulary.knows(piece):
                return False
    return True


def _is_all_that_is_spelled(letters: Letters, start: int, end: int) -> bool:
    bound = letters.bound
    before = start > 0 and bound[start - 1]
    after = end < len(letters.text) and bound[end + 1]
    return not before and not after
