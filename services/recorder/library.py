"""All runs together: follows every change into an index and answers lists from it.

The event loop only notes the newest state of each run; one thread applies what was noted, and a
question is asked in the same thread after it, so that it sees everything that was acknowledged
before. What an index says of a final run counts only while that run's metadata.json is the file
it was read from.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from services.kit.errors import ArtlabError, Unavailable
from services.kit.ids import RunId
from services.kit.log import facts
from services.recorder.domain.filter import Filter
from services.recorder.domain.page_token import page_token, parse_page_token
from services.recorder.domain.run import Run
from services.recorder.domain.stats import RunStats
from services.recorder.domain.vocabulary import Audience
from services.recorder.entries import Entries
from services.recorder.index.port import Entry, Index, IndexDamagedError, Listed
from services.recorder.long_work import told
from services.recorder.ports import Stamp, Store
from services.recorder.purging import Purging

log = logging.getLogger(__name__)

T = TypeVar("T")

APPLY_SECONDS = 0.25
REBUILD_RETRY_SECONDS = 5.0
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Page:
    """Runs newest first, and the token of the page after; empty on the last."""

    runs: Sequence[Listed]
    next_token: str


class Library:
    """Takes in what a store holds, follows its changes, lists and counts.

    A `services.recorder.ports.Intake` while the store is opened, a `Follower` afterwards.
    """

    def __init__(self, store: Store, index: Index) -> None:
        self._index = index
        self._entries = Entries(store)
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="library")
        self._noted: dict[RunId, Run | None] = {}
        self._marks: dict[RunId, bool] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._rebuilding: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._taken: list[Entry] = []
        self._stamps: dict[str, Stamp] = {}
        self._is_damaged = False
        self._purging = Purging(self._purge, self._rewrite, self._rebuild)

    # While the store is opened, in its thread

    def begin(self) -> None:
        """The store is ours from now on."""
        self._stamps = dict(self._index.open())

    def is_settled(self, run_id: RunId, stamp: Stamp) -> bool:
        """Whether this is known as a final run, durable, with this very metadata."""
        return self._stamps.get(run_id.value) == stamp

    def found(self, run: Run, stamp: Stamp | None, *, is_durable: bool) -> None:
        """Any other run; recovered, or as it is when the disk did not let us."""
        self._taken.append(self._entries.entry(run, stamp, is_durable=is_durable))
        if len(self._taken) >= _BATCH:
            self._take()

    def complete(self, run_ids: Collection[RunId]) -> None:
        """These are all runs there are."""
        self._take()
        self._stamps = {}
        try:
            self._index.keep_only(run_ids)
            self._index.purge()
        except IndexDamagedError as error:
            self._note_damage(error)

    def _take(self) -> None:
        try:
            self._index.put(self._taken, ())
        except IndexDamagedError as error:
            self._note_damage(error)
        self._taken = []

    def _note_damage(self, error: IndexDamagedError) -> None:
        log.error("the index is damaged", extra=facts(why=str(error)))
        self._is_damaged = True

    # While it is open, in the event loop

    def start(self) -> None:
        """Begin to apply what is noted."""
        if self._is_damaged:
            self._rebuild()
        self._purging.start()

    async def close(self) -> None:
        """Apply what was noted and let go of the index."""
        self._closing.set()
        await self._purging.close()
        if self._rebuilding is not None:
            await self._rebuilding
        self._apply()
        await asyncio.wrap_future(self._thread.submit(self._index.close))
        self._thread.shutdown()

    def saved(self, run: Run) -> None:
        """A run is new or has changed."""
        self._noted[run.run_id] = run
        self._apply_soon()

    def removed(self, run_id: RunId) -> None:
        """A run is gone."""
        self._noted[run_id] = None
        self._marks.pop(run_id, None)
        self._apply_soon()
        self._purging.needed()

    def set_favourite(self, run_id: RunId, is_favourite: bool) -> None:
        """A run is a favourite, or no longer."""
        self._marks[run_id] = is_favourite
        self._apply_soon()

    async def page(self, wanted: Filter, audience: Audience, token: str, size: int) -> Page:
        """Return up to `size` runs, newest first, after the place a token tells.

        A run whose record is damaged is left out. Raises InvalidArgument PAGE_TOKEN_INVALID,
        Unavailable INDEX_REBUILDING.
        """
        of_list = wanted.digest(audience)
        after = parse_page_token(token, of_list)

        def read() -> Page:
            found = self._index.page(wanted, audience, after, size + 1)
            shown, more = found[:size], len(found) > size
            next_token = page_token(shown[-1].summary.run.place, of_list) if more else ""
            return Page(self._checked(shown, wanted), next_token)

        return await self._ask(read)

    async def stats(self, wanted: Filter, audience: Audience) -> RunStats:
        """Count the runs that fit. Raises Unavailable INDEX_REBUILDING."""
        return await self._ask(lambda: self._index.stats(wanted, audience))

    async def renders(self, user_id: str, digest: str, most: int) -> Sequence[RunId]:
        """Return up to so many runs of a person that may have such an output, newest first.

        Raises Unavailable INDEX_REBUILDING.
        """
        found = await self._ask(lambda: self._index.renders(user_id, digest, most))
        return [place.run_id for place in found]

    async def _ask(self, question: Callable[[], T]) -> T:
        if self._rebuilding is not None:
            raise _rebuilding()
        self._apply()
        context = contextvars.copy_context()
        try:
            return await asyncio.wrap_future(self._thread.submit(context.run, question))
        except IndexDamagedError as error:
            self._hear_damage(error)
            raise _rebuilding() from error

    def _apply_soon(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(APPLY_SECONDS, self._apply)

    def _apply(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._rebuilding is not None or not (self._noted or self._marks):
            return
        noted, self._noted = self._noted, {}
        marks, self._marks = self._marks, {}
        loop = asyncio.get_running_loop()

        def write() -> None:
            try:
                self._write(noted, marks)
            except Exception as error:  # whatever it is, the index lacks these
                loop.call_soon_threadsafe(self._hear_damage, error)

        # Not cancelled with whoever asked: what was noted is noted once.
        self._thread.submit(write)

    def _hear_damage(self, error: Exception) -> None:
        if self._rebuilding is None and not self._closing.is_set():
            log.error("the index is damaged", extra=facts(why=repr(error)))
            self._rebuild()

    def _rebuild(self) -> None:
        if self._rebuilding is not None:
            return
        self._rebuilding = asyncio.get_running_loop().create_task(self._rebuild_all())

    async def _rebuild_all(self) -> None:
        done = False
        while not done and not self._closing.is_set():
            try:
                done = await asyncio.wrap_future(self._thread.submit(self._fill_anew))
            except Exception as error:
                # Whatever it is: the recorder works without a list, and the list comes back.
                log.exception("cannot rebuild the index", extra=facts(why=str(error)))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REBUILD_RETRY_SECONDS):
                        await self._closing.wait()
        self._rebuilding = None
        self._is_damaged = not done
        self._apply()

    async def _purge(self) -> bool:
        return await self._ask(self._index.purge)

    async def _rewrite(self) -> None:
        await self._ask(self._index.rewrite)

    # In the thread of the index

    def _write(self, noted: dict[RunId, Run | None], marks: dict[RunId, bool]) -> None:
        self._index.set_favourites(marks)
        gone = [run_id for run_id, run in noted.items() if run is None]
        self._entries.forget(gone)
        changed = [run for run in noted.values() if run is not None]
        self._index.put([self._entries.saved(run) for run in changed], gone)

    def _checked(self, listed: Iterable[Listed], wanted: Filter) -> Sequence[Listed]:
        found = []
        for one in listed:
            run = one.summary.run
            stamp = self._entries.stamp(run.run_id)
            # An open run is always as new as it was noted, but it may have been taken away.
            if stamp is not None and (not run.is_final or stamp == one.stamp):
                found.append(one)
                continue
            try:
                entry = self._entries.read(run.run_id)
            except ArtlabError as error:
                # One run that cannot be read never takes the list down.
                log.error("run is left out", extra=facts(run=str(run.run_id), why=str(error)))
                continue
            self._index.put([entry], ())
            if wanted.fits(entry.summary.run):
                found.append(Listed(entry.summary, one.is_favourite, entry.stamp))
        return found

    def _fill_anew(self) -> bool:
        """Read every folder; False when that was cut short."""
        self._index.empty()
        run_ids = self._store.run_ids()
        log.info("rebuilding the index", extra=facts(runs=len(run_ids)))
        batches = [run_ids[start : start + _BATCH] for start in range(0, len(run_ids), _BATCH)]
        for batch in told(batches, "rebuilding the index"):
            if self._closing.is_set():
                return False
            self._index.put(self._entries.load(batch), ())
        return True


def _rebuilding() -> Unavailable:
    return Unavailable(
        "INDEX_REBUILDING",
        "the list is made anew from the run folders",
        retry_after_seconds=REBUILD_RETRY_SECONDS,
    )
