"""Asking an API again: only what was certainly not carried out, and when the API wants it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from services.kit.errors import ArtlabError, Unavailable
from services.kit.log import facts
from services.media.backends.hosted.errors import NotTaken

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long an API is waited for.

    Pauses double from `first_pause_seconds`; the server's own wish is never undercut. Who asks for
    more than `longest_pause_seconds` is not waited for: another backend may be quicker.
    """

    attempts: int = 4
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 60.0
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep

    async def ask(self, call: Callable[[], Awaitable[T]], *, changes_nothing: bool = False) -> T:
        """Make the call, again while its error says that it was not carried out.

        A call that `changes_nothing` is made again as well when its answer was lost or could not
        be read. Raises what the last call raised.
        """
        for attempt in range(1, self.attempts):
            try:
                return await call()
            except ArtlabError as error:
                harmless = changes_nothing and _is_passing(error)
                pause = self._pause_seconds(error, attempt)
                if pause is None or not (harmless or _was_not_taken(error)):
                    raise
                log.info(
                    "asking again",
                    extra=facts(reason=error.reason, attempt=attempt, pause_seconds=pause),
                )
            await self.sleep(pause)
        return await call()

    def _pause_seconds(self, error: ArtlabError, attempt: int) -> float | None:
        told = error.retry_after_seconds or 0.0
        if told > self.longest_pause_seconds:
            return None
        # Those that were refused together must not come back together.
        jitter = random.uniform(1.0, 1.5)  # noqa: S311  # no secret
        doubled: float = self.first_pause_seconds * 2 ** (attempt - 1)
        return max(told, doubled) * jitter


def _was_not_taken(error: ArtlabError) -> bool:
    return isinstance(error, NotTaken) or error.reason == "BACKEND_BUSY"


def _is_passing(error: ArtlabError) -> bool:
    return isinstance(error, Unavailable) or error.reason == "BACKEND_TIMEOUT"
