"""Which words there are: what exists is no slip of the keyboard, no half of a torn word. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from services.safety.domain.normalize import fold_word

MIN_PART_LETTERS = 3
MIN_LAST_PART_LETTERS = 4
MIN_COMPOUND_LETTERS = MIN_PART_LETTERS + MIN_LAST_PART_LETTERS
# Longer ones are no words; it bounds what splitting costs.
MAX_COMPOUND_LETTERS = 40
# What German puts between the parts of a word (Drogen-n-party, Hahn-en-kamm, Gewalt-fantasie).
_LINKS = ("", "s", "n", "en", "es", "er", "e")
# What is left of words when an apostrophe or a hyphen is cut: don't, we'll, e-mail.
_BITS = ("don", "isn", "aren", "wasn", "didn", "doesn", "won", "ll", "re", "ve", "nt")
COMPOUNDING = "de"
_UMLAUTS = str.maketrans("äöü", "aou")
# A letter that is neither plain nor an umlaut.
_ACCENT = re.compile(r"[^\x00-\x7fäöü]")


class Vocabulary:
    """The words of some languages, folded as texts are, without what the lists look for.

    Attributes:
        languages: those whose words are known. Words of others may be unknown and quite innocent.
        version: of the data, for the version of the lists.
    """

    def __init__(self, words: Mapping[str, frozenset[str]], version: str = "") -> None:
        self.languages = frozenset(words)
        self.version = version
        self._all = frozenset(_BITS).union(*words.values())
        self._compounding = words.get(COMPOUNDING, frozenset())
        self._splits = lru_cache(maxsize=8192)(self._find_split)

    def has(self, word: str) -> bool:
        """Whether there is such a word as it stands."""
        return word in self._all

    def knows(self, word: str) -> bool:
        """Whether there is such a word, or a German compound of such words."""
        return word in self._all or (
            MIN_COMPOUND_LETTERS <= len(word) <= MAX_COMPOUND_LETTERS and self._splits(word)
        )

    def is_part(self, letters: str, *, first: bool) -> bool:
        """Whether letters can stand before (first) or after a part of a German compound."""
        if len(letters) > MAX_COMPOUND_LETTERS:
            return False
        if first:
            return self._is_first(letters) or self.is_compound(letters)
        return any(
            self._is_last(letters[len(link) :])
            for link in _LINKS
            if letters.startswith(link) and len(letters) - len(link) >= MIN_PART_LETTERS
        )

    def is_compound(self, word: str) -> bool:
        """Whether a word can be split into German words."""
        return MIN_COMPOUND_LETTERS <= len(word) <= MAX_COMPOUND_LETTERS and self._splits(word)

    def _is_first(self, letters: str) -> bool:
        return any(
            letters[: len(letters) - len(link)] in self._compounding
            for link in _LINKS
            if letters.endswith(link) and len(letters) - len(link) >= MIN_PART_LETTERS
        )

    def _is_last(self, letters: str) -> bool:
        return letters in self._compounding or self.is_compound(letters)

    def _find_split(self, word: str) -> bool:
        for cut in range(MIN_PART_LETTERS, len(word) - MIN_LAST_PART_LETTERS + 1):
            # The last part is a word as it stands, so that most cuts cost one look-up.
            if word[cut:] in self._compounding:
                first = word[:cut]
                if self._is_first(first) or self.is_compound(first):
                    return True
        return False


def is_latin(word: str) -> bool:
    """Whether folded letters are all Latin. Words of other scripts are in no vocabulary."""
    return word.translate(_UMLAUTS).isascii()


def fold_words(words: Iterable[str]) -> frozenset[str]:
    """Return words as they are looked up."""
    # A million words: what can be done to all of them at once is.
    text = "\n".join(word for word in words if len(word) > 1).lower().replace("ß", "ss")
    accented = set[str]()
    for found in _ACCENT.finditer(text):
        end = text.find("\n", found.start())
        begin = text.rfind("\n", 0, found.start()) + 1
        accented.add(text[begin : end if end >= 0 else len(text)])
    plain = frozenset(text.split("\n"))
    return plain.difference(accented).union(map(fold_word, accented)) if accented else plain


NO_VOCABULARY = Vocabulary({})
