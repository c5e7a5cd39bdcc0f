"""Waiting for something to become true, with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

INTERVAL_SECONDS = 0.005


async def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return once the condition holds. Raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # the condition has no event of its own
            await asyncio.sleep(INTERVAL_SECONDS)
