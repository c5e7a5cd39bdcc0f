"""A text in all the ways it can be read: folded, with hidden letters, guessed, decoded. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace

from services.safety.domain.encodings import Decoded, decode
from services.safety.domain.guesses import Guesser
from services.safety.domain.normalize import Folded, fold, fold_word
from services.safety.domain.readings import read
from services.safety.domain.tokens import Letters, split, split_changes, stretched
from services.safety.domain.vocabulary import NO_VOCABULARY, Vocabulary


class Reader:
    """Reads texts for the lists and rules. Time is linear in the length of a text."""

    def __init__(
        self, vocabulary: Vocabulary = NO_VOCABULARY, guesser: Guesser | None = None
    ) -> None:
        self._vocabulary = vocabulary
        self._guesser = guesser

    def read(self, text: str) -> tuple[Folded, tuple[Letters, ...]]:
        """Return the units of a text and its readings, the plain one first.

        Readings other than the plain one hold only the parts that differ, with their context.
        """
        folded = fold(text)
        readings = self._readings(folded.units)
        if self._guesser is not None:
            readings += [
                guess for letters in list(readings) for guess in self._guesser.guess(letters)
            ]
        for decoded in decode(text):
            readings += self._read_decoded(decoded, folded)
        return folded, tuple(readings)

    def _readings(self, units: str) -> list[Letters]:
        plain, *others = read(units, self._vocabulary)
        first = split(plain)
        return [first, *(split_changes(other, plain, first) for other in others)]

    def _read_decoded(self, decoded: Decoded, folded: Folded) -> Iterator[Letters]:
        """Yield the readings of what a part of the text says, in the units of that part."""
        low = bisect_left(folded.origin, decoded.start, 0, folded.shown)
        if low == folded.shown:
            return
        high = max(bisect_left(folded.origin, decoded.end, 0, folded.shown), low + 1)
        units = fold_word(decoded.text)
        place = stretched(range(low, min(high, folded.shown)), len(units))
        for letters in self._readings(units):
            yield replace(
                letters,
                unit=[place[unit] for unit in letters.unit],
                numbering=[place[unit] for unit in letters.numbering],
            )
