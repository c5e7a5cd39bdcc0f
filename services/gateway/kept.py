"""Answers of other services that are kept for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from services.kit.clock import Clock

KEPT_SECONDS = 1.0
T = TypeVar("T")


class Kept(Generic[T]):
    """One answer for everybody who asks within a second; one question at a time."""

    def __init__(self, ask: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = asyncio.Lock()
        # In a list, because None is an answer too.
        self._kept: list[T] = []
        self._until = 0.0

    async def get(self) -> T:
        """Return the answer, asked for anew when the last one is a second old."""
        async with self._lock:
            if not self._kept or self._clock.monotonic() >= self._until:
                self._kept = [await self._ask()]
                self._until = self._clock.monotonic() + KEPT_SECONDS
            return self._kept[0]
