"""Finding many words in one pass (Aho and Corasick, 1975). Pure.

Time is linear in the text plus what is found, whatever the words are: they are literal, so
``(`` is a parenthesis.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence


class Automaton:
    """Finds every occurrence of a fixed set of words, also overlapping ones."""

    def __init__(self, words: Sequence[str]) -> None:
        """Build it; word i is reported as i. Words are not empty."""
        self._goto: list[dict[str, int]] = [{}]
        self._ends: list[tuple[int, ...]] = [()]
        for number, word in enumerate(words):
            if not word:
                raise ValueError("an empty word would be found everywhere")
            state = 0
            for letter in word:
                following = self._goto[state].get(letter)
                if following is None:
                    following = len(self._goto)
                    self._goto[state][letter] = following
                    self._goto.append({})
                    self._ends.append(())
                state = following
            self._ends[state] += (number,)
        self._link()

    def _link(self) -> None:
        """Give each state the steps it would fall back to, the root's excepted (they are many)."""
        root = self._goto[0]
        queue = deque(root.values())
        fallback = [0] * len(self._goto)
        while queue:
            state = queue.popleft()
            own, back = self._goto[state], fallback[state]
            for letter, following in own.items():
                # Shorter states were completed before, so the fallback's row is complete.
                row = self._goto[back] if back else root
                fallback[following] = row.get(letter, root.get(letter, 0))
                queue.append(following)
            if back:
                self._goto[state] = {**self._goto[back], **own}
                self._ends[state] += self._ends[back]

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield (end, word number) for every occurrence; end is exclusive."""
        goto, ends = self._goto, self._ends
        root = goto[0]
        state = 0
        for position, letter in enumerate(text, 1):
            following = goto[state].get(letter)
            state = root.get(letter, 0) if following is None else following
            if ends[state]:
                for number in ends[state]:
                    yield position, number
