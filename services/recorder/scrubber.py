"""The scrubber: looks at every byte of every final run, slowly, again and again.

A walk goes through all runs in the order of their ids. How far it is survives a restart. Open
runs are left to a later walk: they are final within a day. A run that is deleted while one looks
at it is no damage. A run that a reader found damaged is looked at right away, walk or not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from services.kit.clock import Clock
from services.kit.errors import ArtlabError, InvalidArgument, NotFound
from services.kit.ids import RunId
from services.kit.log import facts
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.scrub import Pace, ScrubState, read_scrub, scrub_document
from services.recorder.ports import Inspection, Store
from services.recorder.table import RunTable
from services.recorder.threads import Threads

log = logging.getLogger(__name__)

# How often it is asked whether a walk is due, or a run suspected.
LOOK_SECONDS = 1.0
# For a single run when there are no walks.
SUSPECT_BYTES_PER_SECOND = 20e6
KEEP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ScrubLimits:
    """How fast a walk goes (0: never), and how long after the start of one the next begins."""

    bytes_per_second: float = 0.0
    interval_seconds: float = 7 * 86400.0


class Scrubber:
    """Walks over one store."""

    def __init__(
        self, store: Store, table: RunTable, threads: Threads, clock: Clock, limits: ScrubLimits
    ) -> None:
        self.state = ScrubState()
        self._store = store
        self._table = table
        self._threads = threads
        self._clock = clock
        self._limits = limits
        self._kept_at = 0.0
        self._suspected: set[RunId] = set()

    async def open(self, damaged: Iterable[RunId]) -> None:
        """Go on where the last process was; `damaged` is what a start has found."""
        data = await self._threads.run(self._store.read_scrub)
        try:
            self.state = read_scrub(orjson.loads(data)) if data else ScrubState()
        except (ValueError, DocumentError, InvalidArgument) as error:
            log.warning("the scrubber begins anew", extra=facts(why=str(error)))
            self.state = ScrubState()
        known = {one.run_id for one in self.state.damages.newest_first()}
        for run_id in damaged:
            if run_id not in known:
                self._note(run_id, ["metadata.json: damaged"])

    def forget(self, run_id: RunId) -> None:
        """The run is deleted, and is no damage any more."""
        self.state.damages.looked_at(run_id, [], self._clock.now())

    async def scrub_forever(self) -> None:
        """Look at what is suspected, and walk whenever it is time, unless the limits say never."""
        while True:
            await self.look_at_suspected()
            if self._limits.bytes_per_second:
                await self.scrub()
            await asyncio.sleep(LOOK_SECONDS)

    def suspect(self, run_id: RunId) -> None:
        """Somebody who read the run was told that it is damaged."""
        self._suspected.add(run_id)

    async def look_at_suspected(self) -> None:
        """Look once at the runs that are suspected."""
        pace = Pace(self._limits.bytes_per_second or SUSPECT_BYTES_PER_SECOND)
        # Who asks for a damaged run again and again must not keep the walk from the others.
        suspected, self._suspected = self._suspected, set()
        for run_id in suspected:
            await self._look_at(run_id, pace)

    async def scrub(self) -> None:
        """Go on with the walk, or begin one if it is time; return at its end."""
        if self.state.is_due(self._clock.now(), self._limits.interval_seconds):
            self.state.started_at = self._clock.now()
            self.state.position, self.state.runs = "", 0
            await self.keep()
            log.info("a walk over all runs begins")
        if not self.state.is_walking:
            return
        pace = Pace(self._limits.bytes_per_second)
        for run_id in await self._left():
            await self.look_at_suspected()
            self.state.runs += await self._look_at(run_id, pace)
            self.state.position = run_id.value
            if self._clock.monotonic() >= self._kept_at + KEEP_SECONDS:
                await self.keep()
        # A clock that was set back meanwhile must not leave a walk without an end.
        self.state.finished_at = max(self._clock.now(), self.state.started_at or self._clock.now())
        await self.keep()
        damages = len(self.state.damages.newest_first())
        log.info("a walk over all runs ends", extra=facts(runs=self.state.runs, damages=damages))

    async def _left(self) -> list[RunId]:
        try:
            run_ids = await self._threads.run(self._store.run_ids)
        except ArtlabError as error:
            log.error("cannot list the runs", extra=facts(reason=error.reason))
            return []
        there = set(run_ids)
        for damage in self.state.damages.newest_first():
            if damage.run_id not in there:
                self.state.damages.looked_at(damage.run_id, [], self._clock.now())
        return sorted(one for one in run_ids if one.value > self.state.position)

    async def _look_at(self, run_id: RunId, pace: Pace) -> bool:
        """Return whether the run is final, and was looked at."""
        if self._table.is_open(run_id):
            return False
        try:
            found = await self._inspect(self._store.inspect_run(run_id), pace)
            if found and self._table.is_open(run_id):
                return False
            if found:
                await self._threads.run(self._store.read_document, run_id)
        except NotFound:
            found = []
        except ArtlabError as error:
            found = found or [f"cannot be read: {error.reason}"]
        self._note(run_id, found)
        return True

    async def _inspect(self, inspection: Inspection[list[str]], pace: Pace) -> list[str]:
        while True:
            began = self._clock.monotonic()
            # Tracked, because a store is not closed under a thread that reads.
            size, found = await self._threads.unbroken(self._threads.run(_step, inspection))
            if found is not None:
                return found
            await asyncio.sleep(pace.rest_seconds(size, self._clock.monotonic() - began))

    def _note(self, run_id: RunId, found: Iterable[str]) -> None:
        for new in self.state.damages.looked_at(run_id, found, self._clock.now()):
            log.error("a run is damaged", extra=facts(run=str(new.run_id), why=new.message))

    async def keep(self) -> None:
        """Let a restart go on from here."""
        self._kept_at = self._clock.monotonic()
        try:
            data = orjson.dumps(scrub_document(self.state), option=orjson.OPT_INDENT_2)
            await self._threads.unbroken(self._threads.run(self._store.write_scrub, data))
        except ArtlabError as error:
            # Worth a second look at some runs, not more.
            log.warning("cannot keep how far the walk is", extra=facts(reason=error.reason))


def _step(inspection: Inspection[list[str]]) -> tuple[int, list[str] | None]:
    try:
        return next(inspection), None
    except StopIteration as end:
        return 0, end.value
