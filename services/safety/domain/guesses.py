"""What words that do not exist may have been meant to be read as. Pure, linear.

A word that no vocabulary knows may be a listed word with a slip of the keyboard or with letters
repeated, or a word that was turned round, turned upside down or put through ROT13 or Atbash. What
comes out has to be a word, or nothing is guessed: few words become another one by chance, and
rarely a listed one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from services.safety.domain.spelling import LongTerm, Speller
from services.safety.domain.tokens import Letters, replace_words
from services.safety.domain.vocabulary import MAX_COMPOUND_LETTERS, Vocabulary, is_latin

_DOUBLED = re.compile(r"(.)\1")
# Shorter words are other words when they are turned round.
MIN_LETTERS = 4
MIN_SWAPPED_LETTERS = 6
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_ROT13 = str.maketrans(_ALPHABET, _ALPHABET[13:] + _ALPHABET[:13])
_ATBASH = str.maketrans(_ALPHABET, _ALPHABET[::-1])
# What plain letters are upside down; the others have characters of their own (confusables).
_UPSIDE_DOWN = str.maketrans("nudpbq", "unpdqb")


def _skeleton(word: str) -> str:
    return "".join(letter for letter, _ in groupby(word))


class Guesser:
    """Reads texts once more, with words in place of what is none."""

    def __init__(
        self, terms: Iterable[LongTerm], forms: frozenset[str], vocabulary: Vocabulary
    ) -> None:
        """Prepare.

        Args:
            terms: single words that are looked for with slips.
            forms: all listed words with their inflections, which are words as well.
            vocabulary: all other words.
        """
        self._speller = Speller(terms, vocabulary)
        self._forms = forms
        self._sorted = frozenset("".join(sorted(form)) for form in forms)
        self._by_skeleton = {_skeleton(form): form for form in sorted(forms, reverse=True)}
        self._vocabulary = vocabulary

    def guess(self, letters: Letters) -> Iterator[Letters]:
        """Yield what else the parts of a reading with unknown words can be read as."""
        words = letters.words()
        unknown = [word for word in set(words) if self._is_unknown(word)]
        corrected = self._each(unknown, self._corrected)
        ciphered = self._each(unknown, self._deciphered)
        turned = self._each(unknown, self._turned)
        for meant in (corrected | ciphered, turned):
            if meant:
                yield replace_words(
                    letters, {i: meant[word] for i, word in enumerate(words) if word in meant}
                )
        if turned:
            # What was turned round as a whole has its words in the opposite order, too.
            yield replace_words(letters, dict(self._opposite(words, turned)))

    def _is_unknown(self, word: str) -> bool:
        return (
            MIN_LETTERS <= len(word) <= MAX_COMPOUND_LETTERS
            and word not in self._forms
            and word.isalpha()
            and is_latin(word)
            and not self._vocabulary.knows(word)
        )

    def _is_word(self, word: str) -> bool:
        return word in self._forms or self._vocabulary.knows(word)

    def _each(self, words: Sequence[str], read: Callable[[str], str | None]) -> dict[str, str]:
        return {word: meant for word in words if (meant := read(word)) is not None}

    def _corrected(self, word: str) -> str | None:
        # Longer words may have any slip; two letters that changed places are seen in shorter ones.
        return self._speller.correct(word) or self._unswapped(word) or self._unrepeated(word)

    def _unswapped(self, word: str) -> str | None:
        if len(word) < MIN_SWAPPED_LETTERS:
            return None
        if "".join(sorted(word)) not in self._sorted:
            return None
        swapped = (f"{word[:i]}{word[i + 1]}{word[i]}{word[i + 2 :]}" for i in range(len(word) - 1))
        return next((meant for meant in swapped if meant in self._forms), None)

    def _unrepeated(self, word: str) -> str | None:
        """Return the listed word that has fewer of its letters twice: nnuuttee."""
        if not _DOUBLED.search(word):
            return None
        skeleton = _skeleton(word)
        meant = self._by_skeleton.get(skeleton)
        if meant is None or len(word) - len(skeleton) <= len(meant) - len(skeleton) + 1:
            return None
        return meant

    def _deciphered(self, word: str) -> str | None:
        candidates = (word.translate(_ROT13), word.translate(_ATBASH))
        return next(filter(self._is_word, candidates), None)

    def _turned(self, word: str) -> str | None:
        backwards = word[::-1]
        return next(filter(self._is_word, (backwards, backwards.translate(_UPSIDE_DOWN))), None)

    def _opposite(
        self, words: Sequence[str], turned: Mapping[str, str]
    ) -> Iterator[tuple[int, str]]:
        """Yield the turned words with the places they take when the runs of them are reversed.

        Words beside them that are words both ways belong to the run.
        """
        meant = [turned.get(word) for word in words]
        for order in (range(len(words)), range(len(words) - 1, -1, -1)):
            beside = False
            for i in order:
                if meant[i] is None and beside and self._is_word(words[i][::-1]):
                    meant[i] = words[i][::-1]
                beside = meant[i] is not None
        for has_meaning, run in groupby(range(len(words)), lambda i: meant[i] is not None):
            places = list(run)
            if has_meaning:
                for place, i in zip(places, reversed(places), strict=True):
                    yield place, meant[i] or ""
