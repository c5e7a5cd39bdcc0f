"""Waiting out a peer that is away: restarted, not yet started, or being replaced."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.kit.clock import Clock
from services.kit.errors import ArtlabError, Unavailable
from services.kit.log import facts

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

T = TypeVar("T")


def peer_is_away(error: ArtlabError) -> bool:
    """Whether the peer itself did not answer, as against a peer that says something is away."""
    return isinstance(error, Unavailable) and (
        error.reason == "DRAINING"
        or error.reason
        in (
            "RECORDER_UNAVAILABLE",
            "SAFETY_UNAVAILABLE",
            "INTERCEPTION_UNAVAILABLE",
            "MEDIA_UNAVAILABLE",
        )
    )


async def patiently(call: Callable[[], Awaitable[T]], patience_seconds: float, clock: Clock) -> T:
    """Make the call again while the peer is away, with growing pauses and jitter.

    The call must be idempotent. Raises what the last call raised once patience is over.
    """
    until = clock.monotonic() + patience_seconds
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            return await call()
        except ArtlabError as error:
            if not peer_is_away(error) or clock.monotonic() + pause > until:
                raise
            log.info("waiting for a peer", extra=facts(reason=error.reason, pause_seconds=pause))
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311  # jitter, no secret
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
