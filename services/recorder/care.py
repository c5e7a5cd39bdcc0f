"""What a recorder does for its runs when nobody asks, and what people may ask about that."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from services.kit.clock import Clock
from services.kit.errors import DataLoss
from services.kit.ids import RunId
from services.recorder.domain.room import Room
from services.recorder.domain.scrub import ScrubState
from services.recorder.favourites import Favourites
from services.recorder.library import Library
from services.recorder.ports import Store
from services.recorder.retention import Delete, Retention, RetentionLimits
from services.recorder.scrubber import Scrubber, ScrubLimits
from services.recorder.table import RunTable
from services.recorder.threads import Threads


@dataclass(frozen=True, slots=True)
class CareLimits:
    """How much of it there is.

    `elapsed_seconds` never jumps, and counts while a machine sleeps; None is the clock's own.
    """

    scrub: ScrubLimits = field(default_factory=ScrubLimits)
    retention: RetentionLimits = field(default_factory=RetentionLimits)
    elapsed_seconds: Callable[[], float] | None = None


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """How a store is."""

    runs: int
    open_runs: int
    room: Room
    scrub: ScrubState


class Care:
    """Favourites, the scrubber and the retention of one recorder."""

    def __init__(
        self,
        store: Store,
        table: RunTable,
        threads: Threads,
        library: Library,
        clock: Clock,
        limits: CareLimits,
        delete: Delete,
    ) -> None:
        self.favourites = Favourites(store, table, threads)
        self.favourites.listen(library.set_favourite)
        self.scrubber = Scrubber(store, table, threads, clock, limits.scrub)
        elapsed = limits.elapsed_seconds or clock.monotonic
        self.retention = Retention(
            library, self.favourites, clock, elapsed, limits.retention, delete
        )
        self._store = store
        self._table = table
        self._threads = threads

    async def open(self, damaged: Iterable[RunId]) -> None:
        """Take in what the store keeps of it."""
        await self.favourites.open()
        await self.scrubber.open(damaged)

    def forget(self, run_id: RunId) -> None:
        """The run is deleted."""
        self.favourites.forget(run_id)
        self.scrubber.forget(run_id)

    @contextmanager
    def suspecting(self, run_id: RunId) -> Iterator[None]:
        """Around a read: damage that it meets is looked at and told."""
        try:
            yield
        except DataLoss:
            self.scrubber.suspect(run_id)
            raise

    def tasks(self) -> Mapping[str, Coroutine[Any, Any, None]]:
        """What goes on for as long as the recorder is open, by name; each has to be awaited."""
        return {
            "scrubber": self.scrubber.scrub_forever(),
            "retention": self.retention.retain_forever(),
        }

    async def status(self) -> StoreStatus:
        """Return how the store is. Raises Internal STORAGE_ERROR."""
        return StoreStatus(
            runs=len(await self._threads.run(self._store.run_ids)),
            open_runs=len(self._table.open_runs()),
            room=await self._threads.run(self._store.room),
            scrub=self.scrubber.state,
        )
