"""One open watch of a run, as the run sees it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

MAX_WAITING_HINTS = 64

# Hints travel as they came; the recorder never looks inside.
Hint = object


class Watcher:
    """Is woken when there may be something new, and holds a few hints.

    Facts are not queued: a watcher reads them from the run itself, at its own pace, so that a
    slow one costs nobody anything. The queue of hints forgets its oldest.
    """

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        # Each with the newest fact when it was published, to keep hints before later facts.
        self._hints: deque[tuple[int, Hint]] = deque(maxlen=MAX_WAITING_HINTS)

    def offer(self, after_seq: int, hints: Sequence[Hint]) -> None:
        """Queue hints; the oldest are forgotten when there is no room."""
        self._hints.extend((after_seq, hint) for hint in hints)
        self.wake.set()

    def take(self, up_to_seq: int) -> list[Hint]:
        """The queued hints that were published before the fact after `up_to_seq`."""
        found = []
        while self._hints and self._hints[0][0] <= up_to_seq:
            found.append(self._hints.popleft()[1])
        return found
