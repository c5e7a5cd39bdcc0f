"""Short calls of a recorder that may be restarting."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.kit.errors import DeadlineExceeded, Unavailable
from services.kit.log import facts

log = logging.getLogger(__name__)

CALL_SECONDS = 10.0
# How often in a row the recorder may fail without progress: about a minute.
MAX_FUTILE_ATTEMPTS = 36
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

T = TypeVar("T")


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Make a short call again while the recorder is away or answers too late."""
    for attempt in range(1, MAX_FUTILE_ATTEMPTS):
        try:
            return await call()
        except (Unavailable, DeadlineExceeded) as error:
            log.info("waiting for the recorder", extra=facts(reason=error.reason))
        await asyncio.sleep(pause_seconds(attempt))
    return await call()


def pause_seconds(attempt: int) -> float:
    """How long to wait after the n-th failure in a row."""
    return min(FIRST_PAUSE_SECONDS * 1.6 ** min(attempt, 12), LONGEST_PAUSE_SECONDS)
