"""Favourites: runs that somebody wants to keep. Not part of the record."""

from __future__ import annotations

from collections.abc import Callable

from services.kit.ids import RunId
from services.recorder.ports import Store
from services.recorder.table import RunTable
from services.recorder.threads import Threads

# Told of every mark that has changed, from the event loop.
Listener = Callable[[RunId, bool], None]


class Favourites:
    """The marks of one store, in memory and on the disk."""

    def __init__(self, store: Store, table: RunTable, threads: Threads) -> None:
        self._store = store
        self._table = table
        self._threads = threads
        self._marked: set[RunId] = set()
        # A write failed: what is on the disk is not known before the next one succeeds.
        self._doubtful: set[RunId] = set()
        self._listeners: list[Listener] = []

    async def open(self) -> None:
        """Take in what is marked, and tell everybody who listens."""
        self._marked = set(await self._threads.run(self._store.favourites))
        for run_id in self._marked:
            self._tell(run_id)

    def listen(self, listener: Listener) -> None:
        """Tell this one, too."""
        self._listeners.append(listener)

    def has(self, run_id: RunId) -> bool:
        """Whether the run is marked."""
        return run_id in self._marked

    async def set(self, run_id: RunId, wanted: bool) -> bool:
        """Mark a run, or no longer, durably; return the mark as it stands.

        Raises NotFound RUN_NOT_FOUND.
        """
        return await self._threads.unbroken(self._set(run_id, wanted))

    def forget(self, run_id: RunId) -> None:
        """The run is deleted, and its mark with it."""
        self._marked.discard(run_id)
        self._doubtful.discard(run_id)

    async def _set(self, run_id: RunId, wanted: bool) -> bool:
        # A damaged run may be worth keeping, too.
        async with self._table.locked(run_id, damaged_ok=True):
            if wanted != self.has(run_id) or run_id in self._doubtful:
                self._doubtful.add(run_id)
                await self._threads.run(self._store.set_favourite, run_id, wanted)
                self._doubtful.discard(run_id)
                if wanted:
                    self._marked.add(run_id)
                else:
                    self._marked.discard(run_id)
                self._tell(run_id)
        return wanted

    def _tell(self, run_id: RunId) -> None:
        for listener in self._listeners:
            listener(run_id, self.has(run_id))
