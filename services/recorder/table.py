"""The runs in memory: one change of a run at a time, readers see whole states.

A run that is open stays here; a final one is read from the store whenever somebody asks, so that
damage to it is found. Every change goes: lock, pure change, durable, visible, watchers woken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from services.kit.errors import ArtlabError, DataLoss, Internal, NotFound, ResourceExhausted
from services.kit.ids import RunId
from services.recorder.domain.run import Run
from services.recorder.ports import Follower, Store
from services.recorder.threads import Threads
from services.recorder.watcher import Watcher


class OpenRun:
    """A run somebody works with."""

    def __init__(self, run: Run | None = None) -> None:
        self.lock = asyncio.Lock()
        self.run = run
        self.users = 0
        self.watchers: set[Watcher] = set()
        self.is_deleted = False
        # A write failed: what is stored must be asked before the next change.
        self.is_doubtful = False

    @property
    def current(self) -> Run:
        """The newest state. Raises NotFound RUN_NOT_FOUND when there is none."""
        if self.run is None or self.is_deleted:
            raise run_not_found()
        return self.run

    def advance(self, run: Run) -> None:
        """Make a durable state visible."""
        self.run = run
        self._wake()

    def delete(self) -> None:
        """Say that the run is gone."""
        self.is_deleted = True
        self._wake()

    def _wake(self) -> None:
        for watcher in self.watchers:
            watcher.wake.set()


class RunTable:
    """Finds, loads and locks runs."""

    def __init__(self, store: Store, threads: Threads, followers: Sequence[Follower] = ()) -> None:
        self._store = store
        self._threads = threads
        self._followers = followers
        self._open: dict[RunId, OpenRun] = {}

    def adopt(self, runs: Iterable[Run]) -> None:
        """Take in the runs that are open at start."""
        for run in runs:
            self._open[run.run_id] = OpenRun(run)

    def open_runs(self) -> list[Run]:
        """The runs that are not final."""
        runs = [held.run for held in self._open.values()]
        return [run for run in runs if run is not None and not run.is_final]

    def is_open(self, run_id: RunId) -> bool:
        """Whether the run is not final, or somebody changes it right now."""
        held = self._open.get(run_id)
        return held is not None and (
            held.lock.locked() or (held.run is not None and not held.run.is_final)
        )

    def find(self, run_id: RunId) -> OpenRun | None:
        """The run if it is in memory."""
        return self._open.get(run_id)

    async def read(self, run_id: RunId) -> Run:
        """Return the newest state. Raises NotFound RUN_NOT_FOUND, DataLoss METADATA_CORRUPT."""
        held = self._open.get(run_id)
        if held is not None and held.run is not None and not held.run.is_final:
            return held.current
        return await self._threads.run(self._store.load_run, run_id)

    @asynccontextmanager
    async def held(self, run_id: RunId) -> AsyncIterator[OpenRun]:
        """Keep a run in memory meanwhile, without locking it."""
        async with self.locked(run_id) as held:
            held.users += 1
        try:
            yield held
        finally:
            self._leave(run_id, held)

    @asynccontextmanager
    async def locked(
        self, run_id: RunId, *, absent_ok: bool = False, damaged_ok: bool = False
    ) -> AsyncIterator[OpenRun]:
        """Be the only one who changes this run; its `run` is None where that was allowed.

        Raises NotFound RUN_NOT_FOUND unless `absent_ok`; unless `damaged_ok` DataLoss
        METADATA_CORRUPT, and what the store says when it cannot settle a write that failed.
        """
        while True:
            held = self._open.setdefault(run_id, OpenRun())
            held.users += 1
            try:
                async with held.lock:
                    if held.is_deleted:  # by whoever had the lock before
                        continue
                    try:
                        await self._load(run_id, held)
                    except NotFound:
                        if not absent_ok:
                            raise
                    except (DataLoss, Internal, ResourceExhausted):
                        if not damaged_ok:
                            raise
                    try:
                        yield held
                    except ArtlabError as error:
                        # STORAGE_FULL promises that nothing happened.
                        held.is_doubtful |= error.reason == "STORAGE_ERROR"
                        raise
                    except BaseException:
                        held.is_doubtful = True
                        raise
                    return
            finally:
                self._leave(run_id, held)

    async def save(self, held: OpenRun, run: Run, *, is_end: bool) -> None:
        """Make the changed run durable, then visible; nothing happens when it did not change.

        The end of a run or an output may take the room that is kept back for it.
        """
        if run is not held.run:
            await self._threads.run(partial(self._store.save_run, run, is_end=is_end))
            self.advance(held, run)

    def advance(self, held: OpenRun, run: Run) -> None:
        """Make a durable state visible, and tell everybody who follows."""
        held.advance(run)
        for follower in self._followers:
            follower.saved(run)

    def drop(self, run_id: RunId, held: OpenRun) -> None:
        """Forget a run that was deleted."""
        held.delete()
        self._open.pop(run_id, None)
        for follower in self._followers:
            follower.removed(run_id)

    async def _load(self, run_id: RunId, held: OpenRun) -> None:
        if held.run is not None and not held.is_doubtful:
            return
        load = self._store.reload_run if held.is_doubtful else self._store.load_run
        run = await self._threads.run(load, run_id)
        if held.is_doubtful:
            held.is_doubtful = False
            self.advance(held, run)
        else:
            held.advance(run)

    def _leave(self, run_id: RunId, held: OpenRun) -> None:
        held.users -= 1
        needed = held.run is not None and (not held.run.is_final or held.is_doubtful)
        if not held.users and not needed and self._open.get(run_id) is held:
            del self._open[run_id]


def run_not_found() -> NotFound:
    """What is said of a run that is not there."""
    return NotFound("RUN_NOT_FOUND", "no such run")
