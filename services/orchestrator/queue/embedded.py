"""The queue without a server: the recorder's list of runs nobody has, and its claims.

Enough for several orchestrators on one recorder. A run that is started here is driven at once; one
that somebody else left is found within a second.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator

from services.kit.clock import Clock
from services.kit.errors import ArtlabError
from services.kit.ids import RunId
from services.kit.log import facts
from services.orchestrator.claims import Claim, Claims
from services.orchestrator.queue.claiming import Claimer
from services.orchestrator.queue.created import CreatedRuns
from services.orchestrator.queue.heart import Heart, HeldRun
from services.orchestrator.queue.view import QueueView

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
# The fair order changes with each run that ends: a list is worked through no longer than that.
LIST_SECONDS = 0.25


class EmbeddedQueue:
    """Implements queue.port.RunQueue.

    Args:
        claims: the recorder.
        claim: this process.
        clock: time.
        view: what waits.
        expire_seconds: see `Heart`.
        poll_seconds: how often to look for runs of others at most.
    """

    def __init__(
        self,
        claims: Claims,
        claim: Claim,
        clock: Clock,
        view: QueueView,
        *,
        expire_seconds: float = 0.0,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._poll = poll_seconds
        self._heart = Heart(claims, claim, clock, expire_seconds)
        self._claimer = Claimer(claims, claim, self._heart, view)
        self._created = CreatedRuns(self._heart)
        self._wake = asyncio.Event()
        self._closed = False

    async def submit(self, run_id: RunId, user_id: str, *, epoch: int = 0) -> None:
        """Have a run driven; again changes nothing."""
        if epoch:
            await self._created.add(run_id, epoch)
        self._wake.set()

    async def claims(self) -> AsyncIterator[HeldRun]:
        """Yield runs to drive, each claimed; ask for the next one only when there is room."""
        beating = asyncio.create_task(self._heart.beat(), name="heartbeat")
        try:
            while not self._closed:
                run = await self._next()
                if run is not None:
                    run.taken = True
                    yield run
        finally:
            beating.cancel()
            await asyncio.wait([beating])

    async def aclose(self) -> None:
        """Give back what nobody has begun to drive, and end."""
        self._closed = True
        self._wake.set()
        await self._created.aclose()

    async def _next(self) -> HeldRun | None:
        # Who was woken knows of a run that an older list may not have.
        age = 0.0 if self._wake.is_set() else LIST_SECONDS
        self._wake.clear()
        created = self._created.next()
        if created is not None:
            return created
        try:
            run = await self._claimer.next_in_line(age)
        except ArtlabError as error:
            log.info("cannot look for runs", extra=facts(reason=error.reason))
            run = None
        if run is None:
            await self._rest()
        return run

    async def _rest(self) -> None:
        # With jitter, so that replicas that were started together do not look together.
        pause = self._poll * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            return
