"""Whether one ComfyUI answers, how long its queue is, and whether its worker is alive.

HTTP proves nothing about the worker: when its thread has died, prompts are taken in with a 200
and never run. What gives it away is a queue in which jobs wait and none runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from services.kit.clock import Clock
from services.kit.errors import ArtlabError
from services.kit.log import facts
from services.media.comfy.queue import QueueReader
from services.media.comfy.rest import Rest

log = logging.getLogger(__name__)

CHECK_SECONDS = 2.0
CHECK_TIMEOUT_SECONDS = 2.0
# A queue read for somebody else not longer ago will do.
SHARED_SECONDS = 0.5
# Jobs wait and none runs for so long: a worker that lives takes one within milliseconds.
STALLED_SECONDS = 5.0
# No queue is longer; what an instance says of it is reckoned with, and told to callers.
MAX_LENGTH = 1_000_000
# How long it gets no jobs then; twice as long each time a trial fails.
SHUNNED_SECONDS = 30.0
MOST_SHUNNED_SECONDS = 600.0


class Health:
    """What is known about one instance. `ours` tells how many of its jobs are ours.

    `on_change` is called when it went away or came back, as it may be another ComfyUI by now.
    """

    def __init__(
        self,
        rest: Rest,
        queue: QueueReader,
        clock: Clock,
        *,
        ours: Callable[[], int],
        on_change: Callable[[], None],
    ) -> None:
        self._rest, self._queue, self._clock = rest, queue, clock
        self._ours, self._on_change = ours, on_change
        self._asking = asyncio.Lock()
        self._checked_at = float("-inf")
        self._idle_since: float | None = None
        self._shunned_until: float | None = None
        self._failures = 0
        # Jobs that run and wait there, those of others included; None: it does not answer.
        self.length: int | None = None
        # Those of them that are not ours.
        self.foreign = 0

    @property
    def answers(self) -> bool:
        """Whether HTTP is well."""
        return self.length is not None

    @property
    def is_away(self) -> bool:
        """Whether it was asked and did not answer."""
        return self.length is None and self._checked_at > float("-inf")

    @property
    def is_stalled(self) -> bool:
        """Whether it took jobs in and ran none, and its time out is not over yet."""
        return self._shunned_until is not None and self._clock.monotonic() < self._shunned_until

    @property
    def is_on_trial(self) -> bool:
        """Whether it was stalled and nothing has run there since."""
        return self._shunned_until is not None

    @property
    def is_well(self) -> bool:
        """Whether it may get jobs."""
        return self.answers and not self.is_stalled

    async def check(self, max_age_seconds: float | None = None) -> None:
        """Ask, unless there is an answer at most so old (None: 2 s)."""
        most = CHECK_SECONDS if max_age_seconds is None else max_age_seconds
        async with self._asking:
            if self._clock.monotonic() - self._checked_at < most:
                return
            length = await self._ask_length()
            if length is None or self.length is None:
                self._forget()
            if length:
                await self._look_at_worker()
            elif length == 0:
                self._idle_since = None
            self.length = length
            self.foreign = max(0, (length or 0) - self._ours())
            self._checked_at = self._clock.monotonic()

    def lost_contact(self) -> None:
        """It did not answer somebody: nothing is handed in there before it is asked again."""
        if self.answers:
            self.length = None
            self._checked_at = self._clock.monotonic()

    def shun(self) -> None:
        """Give it no jobs for a while: it takes them in and does nothing."""
        seconds = min(SHUNNED_SECONDS * 2.0**self._failures, MOST_SHUNNED_SECONDS)
        self._failures = min(self._failures + 1, 16)
        self._shunned_until = self._clock.monotonic() + seconds

    def works(self) -> None:
        """A job runs there, so its worker lives."""
        self._shunned_until = self._idle_since = None
        self._failures = 0

    def _forget(self) -> None:
        # Whatever was wrong with its worker: a new process has a new one.
        self.works()
        self._on_change()

    async def _ask_length(self) -> int | None:
        try:
            reply = await self._rest.get("/prompt", timeout_seconds=CHECK_TIMEOUT_SECONDS)
            length = reply.object()["exec_info"]["queue_remaining"]
        except (ArtlabError, KeyError, TypeError):
            return None
        return min(length, MAX_LENGTH) if type(length) is int and length >= 0 else None

    async def _look_at_worker(self) -> None:
        since = asyncio.get_running_loop().time() - SHARED_SECONDS
        try:
            queue = await self._queue.read(since)
        except ArtlabError as error:
            # The next check tells whether that was more than a moment.
            log.info("queue unread", extra=facts(instance=self._rest.address.url, why=error.reason))
            return
        now = self._clock.monotonic()
        if queue.running or not queue.pending:
            self._idle_since = None
            if queue.running:
                self.works()
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since >= STALLED_SECONDS:
            if not self.is_stalled:
                log.warning("comfyui stalled", extra=facts(instance=self._rest.address.url))
                self.shun()
            # Seen with one's own eyes: no trial is needed to know it.
            self._shunned_until = max(self._shunned_until or now, now + SHUNNED_SECONDS)
