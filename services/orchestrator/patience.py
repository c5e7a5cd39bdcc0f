"""Waiting out a peer that is away: restarted, not yet started, or being replaced."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.kit.clock import Clock
from services.kit.errors import ArtlabError, DeadlineExceeded, ResourceExhausted, Unavailable
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


def peer_has_no_room(error: ArtlabError) -> bool:
    """Whether the peer has too much to do and says when to come back."""
    return isinstance(error, ResourceExhausted) and error.reason in (
        "SAFETY_BUSY",
        "TEXT_JUDGE_RATE_LIMITED",
        "LLM_BUSY",
        "MEDIA_BUSY",
    )


def peer_may_recover(error: ArtlabError) -> bool:
    """Whether the same call may be answered a little later."""
    return peer_is_away(error) or peer_has_no_room(error)


def look_may_recover(error: ArtlabError) -> bool:
    """Whether a picture may be looked at a little later. Nothing is made twice by asking again."""
    return peer_may_recover(error) or (
        isinstance(error, ResourceExhausted)
        and error.reason in ("SPOOL_FULL", "IMAGE_JUDGE_RATE_LIMITED")
    )


def recorder_may_recover(error: ArtlabError) -> bool:
    """Whether the recorder may take the same write later.

    A disk that stalls answers too late rather than not at all, and an upload that is still open
    ends by itself.
    """
    return (
        peer_is_away(error) or isinstance(error, DeadlineExceeded) or error.reason == "UPLOADS_OPEN"
    )


async def patiently(
    call: Callable[[], Awaitable[T]],
    patience_seconds: float,
    clock: Clock,
    may_pass: Callable[[ArtlabError], bool] = peer_is_away,
) -> T:
    """Make the call again while its error may pass, with growing pauses and jitter.

    A peer that says when to come back is not asked before that. The call must be idempotent.
    Raises what the last call raised once patience is over.
    """
    until = clock.monotonic() + patience_seconds
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            return await call()
        except ArtlabError as error:
            has_room_later = isinstance(error, ResourceExhausted)
            told = (error.retry_after_seconds or 0.0) if has_room_later else 0.0
            wait = max(pause, told)
            if not may_pass(error) or clock.monotonic() + wait > until:
                raise
            log.info("waiting for a peer", extra=facts(reason=error.reason, pause_seconds=wait))
        await asyncio.sleep(wait * random.uniform(1.0, 1.3))  # noqa: S311  # jitter, no secret
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
