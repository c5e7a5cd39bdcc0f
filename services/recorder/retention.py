"""Retention: deletes runs that are older than they need to be, a few at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.kit.clock import Clock
from services.kit.errors import ArtlabError
from services.kit.ids import RunId
from services.kit.log import facts
from services.recorder.domain.filter import Filter
from services.recorder.domain.retention import Aged, ClockWatch, Reading, plan_pass
from services.recorder.domain.vocabulary import FINAL_RUN_STATES, Audience
from services.recorder.favourites import Favourites
from services.recorder.library import Library

log = logging.getLogger(__name__)

# Deletes a run unless the second says, once nobody else changes it, that it must stay.
Delete = Callable[[RunId, Callable[[RunId], bool]], Awaitable[None]]

_PAGE = 200


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """For how many days after their end runs stay (0: for ever), and how often one looks."""

    days: float = 0.0
    interval_seconds: float = 3600.0


class Retention:
    """Looks through one store."""

    def __init__(
        self,
        library: Library,
        favourites: Favourites,
        clock: Clock,
        elapsed_seconds: Callable[[], float],
        limits: RetentionLimits,
        delete: Delete,
    ) -> None:
        self._library = library
        self._favourites = favourites
        self._clock = clock
        self._elapsed_seconds = elapsed_seconds
        self._limits = limits
        self._delete = delete
        self._watch = ClockWatch(self._reading())
        self._told = ""

    async def retain_forever(self) -> None:
        """Make a pass in every interval, the first after one: by then a clock is set."""
        while self._limits.days:
            await asyncio.sleep(self._limits.interval_seconds)
            await self.retain()

    async def retain(self) -> int:
        """Make one pass; return how many runs are gone."""
        try:
            planned = await self._plan()
        except ArtlabError as error:
            log.warning("retention waits", extra=facts(reason=error.reason))
            return 0
        gone = 0
        for one in planned:
            try:
                await self._delete(one.run_id, self._favourites.has)
            except ArtlabError as error:
                log.error(
                    "cannot delete an old run",
                    extra=facts(run=str(one.run_id), reason=error.reason),
                )
            else:
                gone += 1
                log.info("an old run is deleted", extra=facts(run=str(one.run_id)))
        return gone

    async def _plan(self) -> list[Aged]:
        reading = self._reading()
        doubt = self._watch.doubt(reading, await self._newest())
        if doubt != self._told:
            self._told = doubt
            if doubt:
                log.error("no run is deleted for its age", extra=facts(why=doubt))
            else:
                log.info("the clock is believed again")
        if doubt:
            return []
        keep_for = timedelta(days=self._limits.days)
        # Whatever is old enough was created before, so that only such runs are looked at.
        found = await self._final_before(reading.now - keep_for)
        if not found:
            return []
        stats = await self._library.stats(Filter(), Audience.RESEARCH)
        return plan_pass(
            found,
            runs=stats.runs,
            now=reading.now,
            keep_for=keep_for,
            is_kept=self._favourites.has,
        )

    async def _newest(self) -> datetime | None:
        page = await self._library.page(Filter(), Audience.RESEARCH, "", 1)
        times = [
            moment
            for one in page.runs
            for moment in (one.summary.run.created_at, one.summary.run.finished_at)
            if moment is not None
        ]
        return max(times, default=None)

    async def _final_before(self, moment: datetime) -> list[Aged]:
        wanted = Filter(states=FINAL_RUN_STATES, created_before=moment)
        found: list[Aged] = []
        token = ""
        while True:
            page = await self._library.page(wanted, Audience.RESEARCH, token, _PAGE)
            for one in page.runs:
                run = one.summary.run
                if run.finished_at is not None:
                    found.append(Aged(run.run_id, run.finished_at))
            token = page.next_token
            if not token:
                return found

    def _reading(self) -> Reading:
        return Reading(self._clock.now(), timedelta(seconds=self._elapsed_seconds()))
