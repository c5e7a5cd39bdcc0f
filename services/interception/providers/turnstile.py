"""How many may ask a model at once, and how many may wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.kit.errors import ResourceExhausted

# What a client that was sent away should wait; one pass of a small model takes about this long.
COME_BACK_SECONDS = 5.0


class Turnstile:
    """Lets `at_once` through, in order of arrival; `waiting` more may stand in line."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._room = waiting
        self._line = 0

    @property
    def line(self) -> int:
        """How many wait now."""
        return self._line

    @asynccontextmanager
    async def turn(self, deadline: float) -> AsyncIterator[None]:
        """Wait for one's turn, until `deadline` on the loop's clock.

        Raises ResourceExhausted LLM_BUSY when the line is full or the time is over.
        """
        if self._free.locked() and self._line >= self._room:
            raise _busy("too many wait for the model")
        self._line += 1
        try:
            async with asyncio.timeout_at(deadline):
                await self._free.acquire()
        except TimeoutError as error:
            raise _busy("no turn at the model came in time") from error
        finally:
            self._line -= 1
        try:
            yield
        finally:
            self._free.release()


def _busy(message: str) -> ResourceExhausted:
    return ResourceExhausted("LLM_BUSY", message, retry_after_seconds=COME_BACK_SECONDS)
