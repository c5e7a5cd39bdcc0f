"""The ways a folded text can be read: plainly, or with letters hidden in it. Pure, linear.

All readings of a text have the same length, unit for unit, so a place found in one of them is a
place in the text.

- plain: digits are digits, symbols are punctuation
- letters: digits in words (``h4kenkreuz``), ``@ $ €`` beside letters and ``! | +`` between
  letters are letters
- dotless: as before, but umlauts lose their dots in what is no word (schön is one, Häkenkreuz is
  not), and a letter that stands three times or more counts once, not twice
- strokes: as letters, but 1 and | are read as l
"""

from __future__ import annotations

import re

from services.safety.domain.normalize import DASH, FILL, LETTER_SYMBOLS, STOP
from services.safety.domain.vocabulary import NO_VOCABULARY, Vocabulary

_NUMBER = re.compile(r"[0-9]+")
_DIGITS_IN_WORDS = str.maketrans("01345789", "oieastbg")
_STROKES_IN_WORDS = str.maketrans("01345789", "oleastbg")
_SYMBOLS = str.maketrans("@$€!|+", "aseiit")
_SYMBOLS_AS_STROKES = str.maketrans("@$€!|+", "aseilt")
# Whole runs; what stands around them is looked at once per run, not once per symbol.
_RUN = re.compile(r"[@$€]+|[!|+]+")
# One digit among letters that stand alone: h 4 k e n
_LONE_DIGIT = re.compile(r"(?<=[^\W\d_][ .\-\n])[0-9](?=[ .\-\n][^\W\d_])")
_REPEATED = re.compile(r"([^\W\d_])\1{2,}")
_HYPHENATION = re.compile(r"- *\n *")
_WITHOUT_DOTS = str.maketrans("äöü", "aou")
_DOTS = frozenset("äöü")
_LETTERS = re.compile(r"[^\W\d_]+")
NO_SYMBOLS = {ord(symbol): STOP for symbol in LETTER_SYMBOLS}


def read(units: str, vocabulary: Vocabulary = NO_VOCABULARY) -> tuple[str, ...]:
    """Return the readings that differ, the plain one first."""
    if "\n" in units:
        # A word divided at the end of a line is divided by a hyphen, not by a space.
        units = _HYPHENATION.sub(lambda found: DASH * len(found[0]), units)
    letters = _as_letters(units, _SYMBOLS, _DIGITS_IN_WORDS)
    strokes = _as_letters(units, _SYMBOLS_AS_STROKES, _STROKES_IN_WORDS)
    readings = (
        _shorten(units.translate(NO_SYMBOLS), 2),
        _shorten(letters, 2),
        _shorten(_without_dots(letters, vocabulary), 1),
        _shorten(strokes, 2),
    )
    return tuple(dict.fromkeys(readings))


def _without_dots(units: str, vocabulary: Vocabulary) -> str:
    def bare(found: re.Match[str]) -> str:
        word = found[0]
        if _DOTS.isdisjoint(word) or vocabulary.has(word):
            return word
        return word.translate(_WITHOUT_DOTS)

    return units if _DOTS.isdisjoint(units) else _LETTERS.sub(bare, units)


def _as_letters(units: str, symbols: dict[int, int], digits: dict[int, int]) -> str:
    if not LETTER_SYMBOLS.isdisjoint(units):
        # Each is judged by the letters beside it, and those may be digits and symbols: r@p!$t.
        units = _digits(units, digits)
        for _ in range(2):
            units = _RUN.sub(lambda found: _spelled(found, symbols), units)
        units = units.translate(NO_SYMBOLS)
    units = _LONE_DIGIT.sub(lambda found: found[0].translate(digits), units)
    return _digits(units, digits)


def _spelled(found: re.Match[str], symbols: dict[int, int]) -> str:
    before, after = _neighbours(found)
    is_letter = before or after if found[0][0] in "@$€" else before and after
    return found[0].translate(symbols) if is_letter else found[0]


def _digits(units: str, table: dict[int, int]) -> str:
    """Read digits as letters in words that have letters too; numbers stay numbers."""
    return _NUMBER.sub(
        lambda found: found[0].translate(table) if any(_neighbours(found)) else found[0], units
    )


def _shorten(units: str, keep: int) -> str:
    """Let a letter that stands three times or more stand `keep` times, unless it is the word."""

    def shorter(found: re.Match[str]) -> str:
        run = found[0]
        return found[1] * keep + FILL * (len(run) - keep) if any(_neighbours(found)) else run

    return _REPEATED.sub(shorter, units)


def _neighbours(found: re.Match[str]) -> tuple[bool, bool]:
    """Whether letters stand before and after."""
    text, start, end = found.string, found.start(), found.end()
    return start > 0 and text[start - 1].isalpha(), end < len(text) and text[end].isalpha()
