"""The life of a run: made, moved on, ended, deleted. Each change is whole before the next."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from services.kit.clock import Clock
from services.kit.errors import (
    AlreadyExists,
    ArtlabError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from services.kit.ids import EntityName, RunId
from services.kit.log import facts
from services.recorder.claiming import Claiming
from services.recorder.claims import Claims
from services.recorder.commits import Commits, SmallEntity
from services.recorder.domain.claim import Claimant
from services.recorder.domain.entity import Entity
from services.recorder.domain.erasure import with_erased
from services.recorder.domain.outcome import DEADLINE_REASON, OutputEnd, RunError
from services.recorder.domain.plan import Plan
from services.recorder.domain.run import Run, run_deleted
from services.recorder.domain.vocabulary import RunState
from services.recorder.ports import Store
from services.recorder.table import RunTable
from services.recorder.threads import Threads
from services.recorder.uploads import Uploads

log = logging.getLogger(__name__)

# A run may wait for a person as long as a claim may be put off, and then needs time to go on.
MAX_DEADLINE = timedelta(days=31)
# These claim that everything is there, so nothing may still be on its way.
_CLAIM_COMPLETENESS = frozenset({RunState.SUCCEEDED, RunState.PARTIAL})


class Lifecycle:
    """Changes runs, each under its lock, to their end even when the caller goes away."""

    def __init__(
        self,
        store: Store,
        table: RunTable,
        uploads: Uploads,
        threads: Threads,
        clock: Clock,
        run_limit: timedelta,
        claims: Claims,
        claiming: Claiming,
    ) -> None:
        self._store = store
        self._table = table
        self._uploads = uploads
        self._threads = threads
        self._clock = clock
        self._run_limit = run_limit
        self._claims = claims
        self._claiming = claiming
        self._commits = Commits(store, clock)

    async def create(
        self,
        run_id: RunId,
        plan: Plan,
        by: Claimant | None,
        small: Sequence[SmallEntity] = (),
    ) -> tuple[Run, int]:
        """See `Recorder.create_run`."""
        return await self._threads.unbroken(self._create(run_id, plan, by, small))

    async def change(
        self, run_id: RunId, change: Callable[[Run], Run], epoch: int, *, is_end: bool = False
    ) -> Run:
        """Return the run after a pure change of it.

        Raises NotFound, FailedPrecondition FENCED and what `change` raises.
        """
        return await self._threads.unbroken(self._change(run_id, change, epoch, is_end=is_end))

    async def finalize(
        self,
        run_id: RunId,
        state: RunState,
        error: RunError | None,
        epoch: int = 0,
        outputs: Sequence[OutputEnd] = (),
    ) -> Run:
        """See `Recorder.finalize_run`."""
        return await self._threads.unbroken(self._finalize(run_id, state, error, epoch, outputs))

    async def erase(self, name: EntityName, reason: str, epoch: int) -> Entity:
        """See `Recorder.erase_entity`."""
        return await self._threads.unbroken(self._erase(name, reason, epoch))

    async def delete(
        self, run_id: RunId, is_kept: Callable[[RunId], bool] = lambda _: False
    ) -> bool:
        """Delete a run unless it is to be kept, which is asked under its lock; say whether."""
        return await self._threads.unbroken(self._delete(run_id, is_kept))

    async def end_overdue(self) -> None:
        """End every run that is past its deadline."""
        now = self._clock.now()
        for run in self._table.open_runs():
            if run.deadline <= now:
                error = RunError(DEADLINE_REASON, "the run took too long", run.stage, True)
                try:
                    await self.finalize(run.run_id, RunState.FAILED, error)
                    log.warning("run ended by its deadline", extra=facts(run=str(run.run_id)))
                except ArtlabError as problem:
                    log.error(
                        "cannot end a run",
                        extra=facts(run=str(run.run_id), reason=problem.reason),
                    )

    async def _create(
        self, run_id: RunId, plan: Plan, by: Claimant | None, small: Sequence[SmallEntity]
    ) -> tuple[Run, int]:
        was_open = self._table.is_open(run_id)
        async with self._table.locked(run_id, absent_ok=True) as held:
            if held.run is not None:
                if held.run.request_digest != plan.digest():
                    raise AlreadyExists("REQUEST_ID_REUSED", "the id belongs to another request")
                if not held.run.is_final:
                    if not was_open:
                        # Left by a creation that could not be undone, so that nobody heard of it
                        # and it need not be durable.
                        run = await self._threads.run(self._store.reload_run, run_id)
                        self._table.advance(held, run)
                    await self._uploads.record_held(held, small)
                if by is None:
                    return held.current, 0
                return held.current, (await self._claiming.take(held.current, by)).epoch
            if self._store.is_deleted(run_id):
                raise run_deleted()
            now = self._clock.now()
            deadline = plan.deadline or now + self._run_limit
            if not now < deadline <= now + MAX_DEADLINE:
                raise InvalidArgument(
                    "INVALID_DEADLINE",
                    f"expected within the next {MAX_DEADLINE.days} days",
                    field="run.deadline",
                )
            run = Run.create(run_id, plan, now, deadline, by)
            run = await self._threads.run(self._commits.create, run, small)
            self._table.advance(held, run)
            if by is None:
                return run, 0
            # The record says who it is, so the claim has cost nothing.
            return run, self._claims.hold_as_creator(run_id, by)

    async def _delete(self, run_id: RunId, is_kept: Callable[[RunId], bool]) -> bool:
        async with self._table.locked(run_id, absent_ok=True, damaged_ok=True) as held:
            if is_kept(run_id):
                return False
            await self._uploads.discard_all(run_id, held)
            try:
                await self._threads.run(self._store.delete_run, run_id)
            except ArtlabError:
                if await self._is_gone(run_id):
                    held.run = None
                # Otherwise it goes on, and has to end like every run.
                raise
            self._table.drop(run_id, held)
            return True

    async def _is_gone(self, run_id: RunId) -> bool:
        try:
            await self._threads.run(self._store.load_run, run_id)
        except NotFound:
            return True
        except ArtlabError:
            return False
        return False

    async def _change(
        self, run_id: RunId, change: Callable[[Run], Run], epoch: int, *, is_end: bool = False
    ) -> Run:
        async with self._table.locked(run_id) as held:
            self._claims.check(held.current, epoch)
            run = change(held.current)
            await self._table.save(held, run, is_end=is_end)
            return run

    async def _erase(self, name: EntityName, reason: str, epoch: int) -> Entity:
        async with self._table.locked(name.run) as held:
            self._claims.check(held.current, epoch)
            run = with_erased(held.current, name.sequence, reason, self._clock.now())
            # The record first: what it does not say is damage. It may take the room of an end,
            # because it makes some.
            await self._table.save(held, run, is_end=True)
            entity = run.entity(name.sequence)
            # Asked again also of what was erased before, which the disk may not have let go.
            await self._threads.run(self._store.erase_entity, name.run, entity)
            return entity

    async def _finalize(
        self,
        run_id: RunId,
        state: RunState,
        error: RunError | None,
        epoch: int,
        outputs: Sequence[OutputEnd],
    ) -> Run:
        async with self._table.locked(run_id) as held:
            self._claims.check(held.current, epoch)
            now, run = self._clock.now(), held.current
            if run.is_final:
                return run
            for one in outputs:
                run = run.with_final_output(one.index, one.state, one.error, now)
            run = run.finalized(state, error, now)
            if state in _CLAIM_COMPLETENESS and self._uploads.is_written_to(run_id):
                raise FailedPrecondition("UPLOADS_OPEN", "an upload of this run is being written")
            await self._table.save(held, run, is_end=True)
            try:
                await self._uploads.discard_all(run_id, held)
            except ArtlabError as problem:
                # The run is final whatever becomes of its leftovers; a start sweeps them.
                log.warning("cannot discard uploads", extra=facts(reason=problem.reason))
            return run
