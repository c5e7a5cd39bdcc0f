"""A text as its reader sees it, with the way back to the text as it stands. Pure, linear.

Every character is folded on its own (NFKD, look-alikes, case, NFKD again), so ten thousand
combining marks on one letter cost ten thousand look-ups and no sorting. The result is a string of
*units*, one character each:

- letters and ASCII digits; ``ä ö ü`` stay what they are, other marks are dropped, ``ß`` is ``ss``
- the symbols people write for letters (``@ $ € ! | + * #``), which a reading decides about
- separators: ``" "`` white space, a line feed, ``"-"`` dashes, ``"."`` all other punctuation
- nothing at all for what cannot be seen: format, tag and control characters, fillers, private use

Tag characters (U+E0020 to U+E007E) can carry a hidden ASCII text to a model. They are dropped
where they stand, and what they spell is appended as words of its own.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from services.safety.domain.confusables import CONFUSABLES

LETTER_SYMBOLS = frozenset("@$€!|+*#")
SPACE, NEWLINE, DASH, STOP = " ", "\n", "-", "."
# A place where a reading dropped a letter: neither a letter nor a separator.
FILL = "\x00"

_DIAERESIS = "\u0308"
_UMLAUTS = {"a": "ä", "o": "ö", "u": "ü"}
_LINE_BREAKS = frozenset("\n\r\x0b\x0c\x85\u2028\u2029")
# Letters and symbols by category, but blank on every screen.
_BLANK = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# Stretches Arabic words and is no letter of theirs.
_KASHIDA = "\u0640"
_UNSEEN = frozenset(("Cf", "Cc", "Cs", "Co", "Cn"))
_MARKS = frozenset(("Mn", "Me"))
# A word no term has, so that what is hidden neither goes on nor spoils what is spelled before it.
_HIDDEN_BREAK = f"{SPACE}\x01\x01{SPACE}"
_TAGS = range(0xE0020, 0xE007F)


@dataclass(frozen=True, slots=True)
class Folded:
    """The units of a text; `origin[i]` is the index in `text` of what unit i stands for.

    The first `shown` units are what can be seen; what is hidden in tag characters follows.
    """

    text: str
    units: str
    origin: Sequence[int]
    shown: int

    def as_it_stands(self, first: int, last: int) -> str:
        """The part of the text that units first to last (inclusive) stand for."""
        # Words that are read in the opposite order end before they begin.
        start, end = sorted((self.origin[first], self.origin[last]))
        end += 1
        while end < len(self.text) and unicodedata.category(self.text[end]) in _MARKS:
            end += 1
        found = self.text[start:end]
        # Hidden text has nothing to show; what it spells does.
        return self.units[first : last + 1] if ord(found[0]) in _TAGS else found


class _Table(dict[str, str]):
    """What each character folds to; grows to the characters met, at most all of Unicode."""

    def __missing__(self, character: str) -> str:
        folded = self[character] = _fold_character(character)
        return folded


_table = _Table()


def fold(text: str) -> Folded:
    """Return the units of a text. Time and space are linear in its length."""
    parts = [_table[character] for character in text]
    units: str
    origin: Sequence[int]
    joined = "".join(parts)
    if len(joined) == len(text) and "" not in parts and _DIAERESIS not in parts:
        units, origin = joined, range(len(text))
    else:
        units, origin = _join(parts)
    shown = len(units)
    hidden = [i for i, part in enumerate(parts) if not part and ord(text[i]) in _TAGS]
    if hidden:
        spelled = "".join(_table[chr(ord(text[i]) - 0xE0000)] for i in hidden)
        # Every ASCII character folds to exactly one unit, so the two stay in step.
        units = f"{units}{_HIDDEN_BREAK}{spelled}"
        origin = [*origin, *[hidden[0]] * len(_HIDDEN_BREAK), *hidden]
    return Folded(text, units, origin, shown)


def fold_word(text: str) -> str:
    """Return the units of a short text of our own (a term), without the way back."""
    # Tens of thousands at each start; most are plain letters.
    joined = "".join([_table[character] for character in text])
    plain = text.isascii() or not any(ord(character) in _TAGS for character in text)
    return joined if plain and _DIAERESIS not in joined else fold(text).units


def visible(text: str) -> tuple[str, Sequence[int]]:
    """Return the text in single compatibility forms, without what cannot be seen, and its origin.

    For patterns such as addresses, which care about punctuation and case.
    """
    characters: list[str] = []
    origin: list[int] = []
    for i, character in enumerate(text):
        if not character.isascii():
            if character in _BLANK or unicodedata.category(character) in _UNSEEN:
                continue
            plain = unicodedata.normalize("NFKC", character)
            character = plain if len(plain) == 1 else character
        characters.append(character)
        origin.append(i)
    return "".join(characters), origin


def _join(parts: list[str]) -> tuple[str, list[int]]:
    units: list[str] = []
    origin: list[int] = []
    for i, part in enumerate(parts):
        for unit in part:
            if unit == _DIAERESIS:
                if units:
                    units[-1] = _UMLAUTS.get(units[-1], units[-1])
                continue
            units.append(unit)
            origin.append(i)
    return "".join(units), origin


def _fold_character(character: str) -> str:
    if character in _LINE_BREAKS:
        return NEWLINE
    if character.isspace():
        return SPACE
    if character in _BLANK or unicodedata.category(character) in _UNSEEN:
        return ""
    if character == _KASHIDA:
        return ""
    seen = "".join(CONFUSABLES.get(part, part) for part in unicodedata.normalize("NFKD", character))
    folded = unicodedata.normalize("NFKD", seen.casefold())
    return "".join(_unit(part) for raw in folded for part in CONFUSABLES.get(raw, raw).casefold())


def _unit(part: str) -> str:
    if part == _DIAERESIS or part in LETTER_SYMBOLS:
        return part
    category = unicodedata.category(part[0])
    if category in _MARKS or category in _UNSEEN:
        return ""
    digit = unicodedata.digit(part, None)
    if digit is not None:
        return str(digit)
    if category[0] in "LNM":
        return part
    if category[0] == "Z":
        return SPACE
    return DASH if category == "Pd" else STOP
