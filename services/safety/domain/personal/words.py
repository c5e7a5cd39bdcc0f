"""The words of a text with their places, and phrases among them. Pure, linear."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class Word(NamedTuple):
    """One word, and where it stands."""

    lower: str
    start: int
    end: int


def words_of(text: str) -> list[Word]:
    """Return the words of a text, in order."""
    return [Word(found[0].lower(), *found.span()) for found in _WORD.finditer(text)]


class Phrases:
    """Phrases of one or more words, found by their first."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._by_first: dict[str, set[tuple[str, ...]]] = {}
        for phrase in phrases:
            first, *rest = (word.lower() for word in _WORD.findall(phrase))
            self._by_first.setdefault(first, set()).add(tuple(rest))

    def ends(self, words: Sequence[Word]) -> Iterator[int]:
        """Yield the index of the word after each phrase, the longest where several begin."""
        for at, word in enumerate(words):
            rests = self._by_first.get(word.lower)
            if rests is None:
                continue
            fitting = [
                len(rest)
                for rest in rests
                if tuple(one.lower for one in words[at + 1 : at + 1 + len(rest)]) == rest
            ]
            if fitting:
                yield at + 1 + max(fitting)
