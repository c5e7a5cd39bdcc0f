"""Waiting for a condition with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]],
    timeout_seconds: float = 10.0,
    what: str = "the condition",
) -> None:
    """Return once the condition holds; AssertionError when it does not in time."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout_seconds:g} s")
        await asyncio.sleep(0.02)
