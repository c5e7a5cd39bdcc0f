"""Chance that can be repeated: draws made from a digest, never from a process-wide generator. Pure.

`random.Random` would do for the numbers, but its `shuffle` and `sample` may change between Python
versions, and a run recorded today must be repeatable then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """A sequence of draws that depends on nothing but the parts it was made from."""

    def __init__(self, *parts: object) -> None:
        text = "\x1f".join(str(part) for part in parts)
        # Lone surrogates can't reach us, but a draw must not be what fails.
        self._key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        self._count = 0

    def number(self) -> int:
        """A number from 0 to 2^64 - 1."""
        self._count += 1
        data = self._key + self._count.to_bytes(8, "big")
        return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")

    def below(self, bound: int) -> int:
        """A number from 0 to bound - 1; bound is at least 1."""
        return self.number() % bound

    def chance(self, share: float) -> bool:
        """True in this share of the draws, 0.0 to 1.0."""
        return self.number() < share * 2**64

    def one(self, choices: Sequence[T]) -> T:
        """One of the choices, of which there is at least one."""
        return choices[self.below(len(choices))]

    def some(self, choices: Sequence[T], count: int) -> list[T]:
        """At most count of the choices, each at most once, in drawn order."""
        return self.shuffled(choices)[: max(count, 0)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """All items in drawn order (Fisher and Yates)."""
        found = list(items)
        for index in range(len(found) - 1, 0, -1):
            other = self.below(index + 1)
            found[index], found[other] = found[other], found[index]
        return found
