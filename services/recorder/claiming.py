"""Claims as drivers ask for them: durable where another driver must never forget them.

A change of driver is one name and one sync, made under the run's lock, so that whatever was
written under the epoch before is either committed or refused. Readers never wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.kit.clock import Clock
from services.kit.errors import NotFound
from services.kit.ids import RunId
from services.recorder.claims import Claimable, Claims
from services.recorder.domain.claim import Claim, Claimant, Lost
from services.recorder.domain.run import Run
from services.recorder.ports import Store
from services.recorder.table import RunTable
from services.recorder.threads import Threads


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a run was claimed: under which epoch, or when to ask again (epoch 0)."""

    epoch: int
    retry_after_seconds: float = 0.0


class Claiming:
    """Gives runs to drivers and takes them back."""

    def __init__(
        self, store: Store, table: RunTable, threads: Threads, clock: Clock, claims: Claims
    ) -> None:
        self._store = store
        self._table = table
        self._threads = threads
        self._clock = clock
        self._claims = claims

    async def claim(self, run_id: RunId, by: Claimant, *, force: bool = False) -> Answer:
        """Give a run to a driver unless another one has it.

        `force` takes it away, and ends a delay. Raises FailedPrecondition RUN_FINAL, NotFound
        RUN_NOT_FOUND.
        """
        # Most who come in vain are told without waiting for whoever writes.
        wait = 0.0 if force else self._claims.wait_seconds(run_id, by.owner)
        if wait:
            return Answer(0, wait)
        return await self._threads.unbroken(self._claim(run_id, by, force))

    async def renew(
        self, by: Claimant, held: Sequence[tuple[RunId, int]]
    ) -> Sequence[tuple[RunId, Lost]]:
        """Hold claims, runs and epochs, for another ttl; return those that are lost."""
        lost: list[tuple[RunId, Lost]] = []
        closed: list[RunId] = []
        for run_id, epoch in held:
            match self._claims.renew(run_id, epoch, by):
                case None:
                    closed.append(run_id)
                case False:
                    lost.append((run_id, Lost.FENCED))
        if closed:
            lost += await self._threads.run(self._what_became_of, closed)
        return lost

    async def release(self, run_id: RunId, owner: str, epoch: int, delay: timedelta) -> None:
        """Take a claim back, so that nobody is offered the run before the delay is over.

        Nothing happens when it is lost already, or the run is gone.
        """
        try:
            await self._threads.unbroken(self._release(run_id, owner, epoch, delay))
        except NotFound:
            return

    def claim_of(self, run_id: RunId) -> Claim | None:
        """Return the last claim of an open run."""
        return self._claims.claim_of(run_id)

    def claimable(self, most: int) -> tuple[Sequence[Claimable], int, Sequence[tuple[str, int]]]:
        """See `Claims.claimable`."""
        return self._claims.claimable(most)

    async def take(self, run: Run, by: Claimant, *, force: bool = False) -> Answer:
        """Claim a run whose lock the caller holds; a final one is nobody's."""
        if run.is_final:
            return Answer(0)
        wait = 0.0 if force else self._claims.wait_seconds(run.run_id, by.owner)
        if wait:
            return Answer(0, wait)
        before = self._claims.claim_of(run.run_id)
        claim = self._claims.next_claim(run.run_id, by)
        if claim != before:
            await self._threads.run(self._store.save_claim, run.run_id, claim)
        self._claims.hold(run.run_id, claim, by)
        return Answer(claim.epoch)

    async def _claim(self, run_id: RunId, by: Claimant, force: bool) -> Answer:
        try:
            async with self._table.locked(run_id) as held:
                held.current.check_open()
                return await self.take(held.current, by, force=force)
        except NotFound:
            self._claims.removed(run_id)
            raise

    async def _release(self, run_id: RunId, owner: str, epoch: int, delay: timedelta) -> None:
        async with self._table.locked(run_id) as held:
            claim = self._claims.claim_of(run_id)
            if claim is None or claim.by is None or (claim.by.owner, claim.epoch) != (owner, epoch):
                return
            if self._claims.decided_meanwhile(held.current):
                delay = timedelta()  # nobody need wait for what has come
            given_back = claim.given_back(self._clock.now() + delay if delay else None)
            await self._threads.run(self._store.save_claim, run_id, given_back)
            self._claims.give_back(run_id, given_back)

    def _what_became_of(self, run_ids: Sequence[RunId]) -> list[tuple[RunId, Lost]]:
        found = []
        for run_id in run_ids:
            try:
                self._store.stamp(run_id)
                found.append((run_id, Lost.RUN_FINAL))
            except NotFound:
                found.append((run_id, Lost.RUN_NOT_FOUND))
        return found
