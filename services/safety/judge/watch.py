"""Whether a judge that is elsewhere is there: asked at start, and again from when it was missed.

Until then a service that must have it says by its health that it does not serve. Calls are still
answered, with what the judge's absence is to them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from services.kit.errors import ArtlabError
from services.kit.log import facts
from services.safety.ports import Judge, Opinion, Question

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
# What repeating a question does not mend, and somebody at the server may.
_MISSING = frozenset(
    ("SAFETY_UNAVAILABLE", "TEXT_JUDGE_NOT_AUTHORIZED", "TEXT_JUDGE_MODEL_NOT_FOUND")
)


class LoadableJudge(Judge, Protocol):
    """A judge that can be tried out."""

    async def load(self) -> None:
        """Have something harmless judged. Raises ArtlabError."""
        ...


class WatchedJudge:
    """A judge, and whether it is there. `run` has to be running.

    Args:
        judge: one elsewhere.
        set_serving: told whether the service serves; None where it does so without this judge.
    """

    elsewhere = True

    def __init__(
        self, judge: LoadableJudge, set_serving: Callable[[bool], Awaitable[None]] | None
    ) -> None:
        self.name = judge.name
        self.version = judge.version
        self.remote = judge.remote
        self._judge = judge
        self._set_serving = set_serving
        self._missed = asyncio.Event()
        self._missed.set()

    async def judge(self, question: Question) -> Opinion:
        """See Judge."""
        try:
            return await self._judge.judge(question)
        except ArtlabError as error:
            if error.reason in _MISSING:
                self._missed.set()
            raise

    async def aclose(self) -> None:
        """See Judge."""
        await self._judge.aclose()

    async def run(self) -> None:
        """Say whether the service serves, for as long as it lives."""
        while True:
            await self._missed.wait()
            await self._until_there()

    async def _until_there(self) -> None:
        pause, told = FIRST_PAUSE_SECONDS, ""
        while True:
            try:
                await self._judge.load()
            except ArtlabError as error:
                await self._say(False)
                if error.reason != told:
                    log.error(
                        "judge is away; texts will not be judged",
                        extra=facts(judge=self.version, reason=error.reason, why=error.message),
                    )
                told = error.reason
            else:
                self._missed.clear()
                log.info("judge ready", extra=facts(judge=self.version))
                await self._say(True)
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _say(self, serving: bool) -> None:
        if self._set_serving is not None:
            await self._set_serving(serving)
