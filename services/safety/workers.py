"""Work of the processor, kept off the event loop, bounded in number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from services.kit.errors import ResourceExhausted

# Shorter texts take under two milliseconds, less than they would wait for a thread.
INLINE_CHARACTERS = 500
MAX_WAITING = 200

T = TypeVar("T")


class Workers:
    """Runs functions in threads when the text is long."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._waiting = 0

    async def run(self, characters: int, function: Callable[..., T], *arguments: object) -> T:
        """Return what the function returns.

        Raises ResourceExhausted SAFETY_BUSY when too many texts wait already.
        """
        if characters <= INLINE_CHARACTERS:
            return function(*arguments)
        if self._waiting >= self._max_waiting:
            raise ResourceExhausted("SAFETY_BUSY", "too many texts are being checked")
        self._waiting += 1
        try:
            return await asyncio.to_thread(function, *arguments)
        finally:
            self._waiting -= 1
