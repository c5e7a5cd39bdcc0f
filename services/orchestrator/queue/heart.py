"""The heartbeat: all claims of this process are held by one call, in a task of its own.

A driver that is busy, or waits for a model, loses nothing by it; one that has lost its run hears it
within a beat. What a process that was frozen does before its first beat is refused by the recorder.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from services.kit.clock import Clock
from services.kit.errors import ArtlabError
from services.kit.ids import RunId
from services.kit.log import facts
from services.orchestrator.claims import Claim, Claims
from services.orchestrator.queue.port import Lost

log = logging.getLogger(__name__)

# So many beats fit into the time a claim holds.
BEATS_PER_TTL = 5
SHORTEST_INTERVAL_SECONDS = 0.3

# Called with the delay when a run is given back, and with None when it is final.
Gone = Callable[[float | None], Awaitable[None]]


class HeldRun:
    """Implements queue.port.ClaimedRun."""

    def __init__(self, heart: Heart, run_id: RunId, epoch: int) -> None:
        self._heart = heart
        self._run_id = run_id
        self._epoch = epoch
        self._gone: Gone | None = None
        # Whether somebody drives it already.
        self.taken = False
        self._why: Lost | None = None
        self._is_lost = asyncio.Event()

    @property
    def run_id(self) -> RunId:
        """Which one."""
        return self._run_id

    @property
    def epoch(self) -> int:
        """To be sent with every write, from 1."""
        return self._epoch

    async def lost(self) -> Lost:
        """Wait until the claim is lost; return why."""
        await self._is_lost.wait()
        return self._why or Lost.FENCED

    def on_gone(self, gone: Gone) -> None:
        """Have a queue told when the run is given back or final."""
        self._gone = gone

    def lose(self, why: Lost) -> None:
        """Say that the claim does not hold any more."""
        self._why = self._why or why
        self._is_lost.set()

    async def done(self) -> None:
        """Say that the run is final."""
        self._heart.forget(self)
        if self._gone is not None:
            await self._gone(None)

    async def release(self, delay_seconds: float = 0.0) -> None:
        """Give the run back, to be claimed by anybody after the delay."""
        self._heart.forget(self)
        await self._heart.give_back(self, delay_seconds)
        if self._gone is not None:
            await self._gone(delay_seconds)


class Heart:
    """Holds claims until they are given back or lost.

    Args:
        claims: who decides.
        claim: who we are, and for how long a claim holds.
        clock: time.
        expire_seconds: a claim nothing was heard of for so long is lost; while the recorder is
            away nobody else can get it, so that this may be longer than the claim holds.
    """

    def __init__(self, claims: Claims, claim: Claim, clock: Clock, expire_seconds: float) -> None:
        self._claims = claims
        self._claim = claim
        self._clock = clock
        self._expire = max(expire_seconds, claim.ttl_seconds)
        self._interval = max(SHORTEST_INTERVAL_SECONDS, claim.ttl_seconds / BEATS_PER_TTL)
        self._held: dict[RunId, tuple[HeldRun, float]] = {}

    @property
    def held(self) -> int:
        """How many claims it holds."""
        return len(self._held)

    def hold(self, run_id: RunId, epoch: int) -> HeldRun:
        """Hold a claim that was got just now."""
        older = self._held.get(run_id)
        if older is not None and older[0].epoch == epoch:
            return older[0]
        if older is not None:
            older[0].lose(Lost.FENCED)
        run = HeldRun(self, run_id, epoch)
        self._held[run_id] = run, self._clock.monotonic()
        return run

    def holds(self, run_id: RunId) -> bool:
        """Whether a run is ours."""
        return run_id in self._held

    def is_sure_of(self, run_id: RunId) -> bool:
        """Whether a run is ours and nobody else can have claimed it meanwhile."""
        known = self._held.get(run_id)
        return known is not None and self._clock.monotonic() - known[1] < self._claim.ttl_seconds

    def forget(self, run: HeldRun) -> None:
        """Hold it no longer."""
        known = self._held.get(run.run_id)
        if known is not None and known[0] is run:
            del self._held[run.run_id]

    async def give_back(self, run: HeldRun, delay_seconds: float) -> None:
        """Let others have it. One that cannot be given back is free when its claim is over."""
        try:
            await self._claims.release(run.run_id, self._claim.owner, run.epoch, delay_seconds)
        except ArtlabError as error:
            log.warning("not given back", extra=facts(run=str(run.run_id), reason=error.reason))

    async def beat(self) -> None:
        """Renew until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            if not self._held:
                continue
            try:
                await self._renew()
            except Exception as error:
                # Without beats every run here would be lost; the next one may go well.
                log.error("heartbeat failed", exc_info=error)

    async def _renew(self) -> None:
        asked = dict(self._held)
        began = self._clock.monotonic()
        try:
            lost = await self._claims.renew(
                self._claim, {run_id: run.epoch for run_id, (run, _) in asked.items()}
            )
        except ArtlabError as error:
            log.warning("claims not renewed", extra=facts(reason=error.reason, held=len(asked)))
            for run, heard in asked.values():
                if self._clock.monotonic() - heard > self._expire:
                    self._lose(run, Lost.EXPIRED)
            return
        for run_id, (run, _) in asked.items():
            if run_id in lost:
                self._lose(run, _why(lost[run_id]))
            elif run_id in self._held and self._held[run_id][0] is run:
                self._held[run_id] = run, began

    def _lose(self, run: HeldRun, why: Lost) -> None:
        log.warning("claim lost", extra=facts(run=str(run.run_id), why=why.value))
        self.forget(run)
        run.lose(why)


def _why(reason: str) -> Lost:
    try:
        return Lost(reason)
    except ValueError:
        # A recorder from the future; what it means is that we do not have it.
        return Lost.FENCED
