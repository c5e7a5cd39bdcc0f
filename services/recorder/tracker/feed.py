"""Keeps a tracker up to date with the record, whatever becomes of the tracker.

Of a change only the run's id is remembered; what is written is the run as it is by then. So a
change may be noted twice, or written twice, and nothing is lost by an outage: at start and after
each one the tracker's rows are compared with the record. The recorder never waits for any of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from services.kit.errors import ArtlabError, DataLoss, FailedPrecondition, Internal, NotFound
from services.kit.ids import RunId
from services.kit.log import facts
from services.recorder.domain.execution import execution_of
from services.recorder.domain.run import Run
from services.recorder.tracker.calls import Calls
from services.recorder.tracker.ports import Record, Tracker

log = logging.getLogger(__name__)

# More changed runs than that are not remembered one by one, but found by comparing.
MAX_CHANGED_RUNS = 10_000
BATCH_RUNS = 100
PAGE_RUNS = 5_000
# Nine parts of rest to one of work, so that it never takes more than a tenth of a core from those
# who record, however much there is to write.
REST = 9.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait for what, in seconds."""

    call: float = 10.0
    open: float = 60.0
    # At least, between two batches: a run that changes often is written once.
    between: float = 0.2
    first_retry: float = 0.5
    last_retry: float = 30.0
    close: float = 1.0


class Feed:
    """A follower of the recorder that writes what it hears of into a tracker."""

    def __init__(self, tracker: Tracker, pace: Pace | None = None) -> None:
        self._tracker = tracker
        self._pace = pace or Pace()
        self._calls = Calls(tracker)
        self._changed: dict[RunId, None] = {}  # in order, oldest first
        self._behind: set[RunId] = set()
        self._must_compare = True
        self._woken = asyncio.Event()
        self._record: Record | None = None
        self._is_open = False
        # What went wrong since it last worked, each told once.
        self._troubles: set[str] = set()
        self._is_told = False
        self._retry_seconds = self._pace.first_retry
        self._worked_seconds = 0.0

    def saved(self, run: Run) -> None:
        """Remember that a run is new or has changed."""
        self._note(run.run_id)

    def removed(self, run_id: RunId) -> None:
        """Remember that a run is gone."""
        self._note(run_id)

    async def follow(self, record: Record) -> None:
        """Keep up until cancelled. Never ends by itself, never raises."""
        self._record = record
        while True:
            try:
                await self._open(record)
                while True:
                    self._worked_seconds = 0.0
                    if self._woken.is_set():
                        await self._advance(record)
                    self._tell_condition()
                    await asyncio.sleep(max(self._pace.between, REST * self._worked_seconds))
                    await self._woken.wait()
            except Exception as error:
                # Whatever it is, it must not end the recorder, and may be over next time.
                self._is_open = False
                self._tell_trouble(error)
            await asyncio.sleep(self._retry_seconds)
            self._retry_seconds = min(2 * self._retry_seconds, self._pace.last_retry)

    async def close(self) -> None:
        """Write what is known by now, if that is quickly done, and let go of the tracker.

        What is left is found by the next start.
        """
        self._is_open &= await self._calls.settle(self._pace.close)
        try:
            async with asyncio.timeout(self._pace.close):
                while self._is_open and self._record is not None and self._woken.is_set():
                    await self._advance(self._record)
        except (ArtlabError, TimeoutError) as error:
            log.warning("tracker is left behind", extra=facts(why=str(error)))
        await self._calls.close(self._pace.close)

    def _note(self, run_id: RunId) -> None:
        if len(self._changed) >= MAX_CHANGED_RUNS and run_id not in self._changed:
            self._changed.clear()
            self._must_compare = True
        self._changed[run_id] = None
        self._woken.set()

    async def _open(self, record: Record) -> None:
        store_id = await record.store_id()
        await self._calls.make(self._pace.open, self._tracker.open, store_id)
        self._is_open = True
        self._is_told = False
        await self._compare(record)

    async def _compare(self, record: Record) -> None:
        """Find every run whose rows are missing, may be old, or should be gone."""
        self._must_compare = False
        try:
            behind = set(await record.run_ids())
            after: RunId | None = None
            while True:
                call = self._tracker.tracked
                page = await self._calls.make(self._pace.call, call, after, PAGE_RUNS)
                for found in page:
                    if found.run_id not in behind:
                        behind.add(found.run_id)
                    elif found.is_settled:
                        behind.discard(found.run_id)
                if len(page) < PAGE_RUNS:
                    break
                after = page[-1].run_id
        except BaseException:
            self._must_compare = True
            raise
        self._behind = behind
        if behind:
            self._woken.set()

    async def _advance(self, record: Record) -> None:
        """Write one batch; what could not be written stays to be written."""
        if self._must_compare:
            await self._compare(record)
        # What changes now goes first, but never takes all of the room.
        batch = list(self._changed)[: BATCH_RUNS // 2 if self._behind else BATCH_RUNS]
        for run_id in batch:
            del self._changed[run_id]
        while self._behind and len(batch) < BATCH_RUNS:
            batch.append(self._behind.pop())
        try:
            await self._write(record, batch)
        except BaseException:
            for run_id in batch:
                self._note(run_id)
            raise
        if not self._changed and not self._behind and not self._must_compare:
            self._woken.clear()

    async def _write(self, record: Record, batch: Sequence[RunId]) -> None:
        runs: list[Run] = []
        gone: list[RunId] = []
        began = time.monotonic()
        for run_id in batch:
            try:
                runs.append(await record.get_run(run_id))
            except NotFound:
                gone.append(run_id)
            except DataLoss:
                # The rows made when it was whole are the best that is left of it.
                log.warning("a damaged run is not tracked", extra=facts(run=str(run_id)))
            except Internal as error:
                # The disk refuses this one; the others are not to wait for that.
                log.warning(
                    "a run cannot be read for the tracker; trying again",
                    extra=facts(run=str(run_id), why=error.message),
                )
                loop = asyncio.get_running_loop()
                loop.call_later(self._pace.last_retry, self._note, run_id)
        self._worked_seconds += time.monotonic() - began
        if gone:
            await self._calls.make(self._pace.call, self._tracker.remove, gone)
        try:
            await self._calls.make(self._pace.call, self._project, runs)
        except FailedPrecondition:
            # It works, and takes one of them not; the others are not to wait for that.
            for run in runs:
                await self._write_alone(run)

    async def _write_alone(self, run: Run) -> None:
        try:
            await self._calls.make(self._pace.call, self._project, [run])
        except FailedPrecondition as error:
            log.error(
                "the tracker does not take a run",
                extra=facts(run=str(run.run_id), why=error.message),
            )

    def _project(self, runs: Sequence[Run]) -> None:
        # What it waits for a database takes nothing from anybody.
        began = time.thread_time()
        self._tracker.write([execution_of(run) for run in runs])
        self._worked_seconds += time.thread_time() - began

    def _tell_condition(self) -> None:
        self._retry_seconds = self._pace.first_retry
        if not self._is_told:
            event = "tracker is back" if self._troubles else "tracker is open"
            log.info(event, extra=facts(behind=len(self._behind)))
            self._troubles.clear()
            self._is_told = True

    def _tell_trouble(self, error: Exception) -> None:
        trouble = f"{type(error).__name__}: {error}"
        if trouble in self._troubles:
            return
        event = "tracker is still down" if self._troubles else "tracker is down"
        self._troubles.add(trouble)
        if isinstance(error, ArtlabError):
            log.warning(event, extra=facts(reason=error.reason, why=error.message))
        else:
            log.error(event, exc_info=error)
