"""Media jobs: one per upload name, joined by whoever asks for it again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any

from services.kit.clock import Clock
from services.kit.deadline import no_deadline
from services.kit.errors import (
    ArtlabError,
    Cancelled,
    Internal,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from services.kit.ids import UploadName
from services.kit.log import facts, run_logged
from services.media.claim import fenced
from services.media.domain.advice import advise
from services.media.domain.output_config import OutputConfig
from services.media.domain.request import MediaRequest, Result
from services.media.fallback import NOT_FOUND
from services.media.making import Availability, Making, differs
from services.media.output_deadline import output_deadline
from services.media.ports import Backend
from services.media.progress import Fence, News
from services.media.recording import Recording
from services.media.work import Work

log = logging.getLogger(__name__)

GRACE_SECONDS = 10.0
BUSY_RETRY_SECONDS = 5.0
STOP_SECONDS = 20.0
# How long who may only take what is there waits for a job that is in work.
ADOPT_SECONDS = 5.0

Update = News | Result


class _Job:
    """One job in work; its task owns everything, callers only watch the board."""

    def __init__(self, work: Work, run: Callable[[Work], Coroutine[None, None, Result]]) -> None:
        self.work = work
        self.farewell: asyncio.Task[None] | None = None
        self.task = asyncio.create_task(run(work), name=f"media {work.request.upload}")

    def join(self) -> None:
        """One more waits for it."""
        self.work.callers += 1
        if self.farewell is not None:
            self.farewell.cancel()
            self.farewell = None


class Jobs:
    """Runs media jobs.

    Args:
        configs: every output config by name.
        backends: by name.
        max_jobs: more at once are refused with ResourceExhausted MEDIA_BUSY.
        grace_seconds: how long a job goes on when its last caller has gone.
    """

    def __init__(
        self,
        configs: Mapping[str, OutputConfig],
        backends: Mapping[str, Backend],
        recording: Recording,
        clock: Clock,
        *,
        max_jobs: int,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._making = Making(configs, backends, recording, clock)
        self._clock = clock
        self._max_jobs, self._grace = max_jobs, grace_seconds
        self._jobs: dict[UploadName, _Job] = {}
        self._draining = False

    async def availability(self) -> list[Availability]:
        """Every config, by name, with why it cannot run, if so."""
        return await self._making.availability()

    def config(self, name: str) -> OutputConfig:
        """Return a config. Raises NotFound CONFIG_NOT_FOUND."""
        return self._making.config(name)

    async def generate(self, request: MediaRequest) -> AsyncGenerator[Update, None]:
        """Start or join the job of this upload; yields news of it, at last what was recorded.

        Raises AlreadyExists JOB_DIFFERS (the name was used for another request), ResourceExhausted
        MEDIA_BUSY, DeadlineExceeded DEADLINE, Cancelled MEDIA_CANCELLED, FailedPrecondition FENCED
        (another driver has the run), OUTPUT_NOT_AVAILABLE and OUTPUT_REMOTE, NotFound
        LATE_RESULT_NOT_FOUND, and what the backend and the recorder raise.
        """
        while (job := self._join(request)) is None:
            # What comes after its end is a job of its own.
            await asyncio.wait({self._jobs[request.upload].task})
        try:
            if request.adopt_only and not job.work.request.adopt_only:
                await asyncio.wait({job.task}, timeout=ADOPT_SECONDS)
                if not job.task.done() and not job.work.board.is_recording:
                    raise NotFound(NOT_FOUND, "it is at work and not done")
            async for news in job.work.board.watch(job.task):
                if not isinstance(news, Fence):
                    yield news
                elif 0 < request.epoch <= news.epoch:
                    raise fenced()
            # Shielded: a caller that goes away does not take the job along.
            yield await asyncio.shield(job.task)
        except asyncio.CancelledError as error:
            if not job.task.cancelled():
                raise
            if self._draining:
                raise _draining() from error
            raise Cancelled("MEDIA_CANCELLED", "the job was stopped") from error
        finally:
            self._leave(job)

    async def cancel(self, upload: UploadName) -> bool:
        """Stop the job of this upload; True only if that stopped it."""
        job = self._jobs.get(upload)
        stopped = False
        if job is not None and not job.task.done():
            job.work.is_called_off = True
            job.task.cancel()
            await asyncio.wait({job.task}, timeout=STOP_SECONDS)
            stopped = job.task.cancelled()
            if not job.work.claim.is_lost:
                return stopped
        # It may have been begun before a restart, or by a copy of this service.
        return await self._making.stop(upload) or stopped

    async def close(self) -> None:
        """Stop all jobs and wait for their ends; new ones are refused."""
        self._draining = True
        tasks: set[asyncio.Task[Any]] = {job.task for job in self._jobs.values()}
        tasks |= {job.farewell for job in self._jobs.values() if job.farewell is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)

    def _join(self, request: MediaRequest) -> _Job | None:
        if self._draining:
            raise _draining()
        job = self._jobs.get(request.upload)
        if job is not None and job.task.cancelling():
            return None
        if job is not None:
            job.work.claim.check(request.epoch)
            if job.work.digest != request.digest():
                raise differs()
            if job.work.request.adopt_only and not request.adopt_only:
                # It makes nothing, and is over soon.
                return None
            job.work.claim.take_over(request.epoch)
        else:
            if len(self._jobs) >= self._max_jobs:
                raise ResourceExhausted(
                    "MEDIA_BUSY",
                    f"{self._max_jobs} jobs are in work",
                    retry_after_seconds=BUSY_RETRY_SECONDS,
                )
            # What the first caller has left of its time is not the job's.
            with no_deadline(), run_logged(str(request.upload.run)):
                job = _Job(Work(request, self._making.confirm), self._run)
            self._jobs[request.upload] = job
            job.task.add_done_callback(lambda task: self._ended(request.upload, task))
        job.join()
        return job

    def _leave(self, job: _Job) -> None:
        job.work.callers -= 1
        if not job.work.is_wanted and not job.task.done():
            with no_deadline():
                name = f"farewell {job.work.request.upload}"
                job.farewell = asyncio.create_task(self._say_farewell(job), name=name)

    async def _say_farewell(self, job: _Job) -> None:
        """Stop a job that nobody asks for any more."""
        await asyncio.sleep(self._grace)
        try:
            # If another driver has the run, that one may follow what is at work by a copy.
            await job.work.look_at_claim()
        except ArtlabError as error:
            log.info("job let go", extra=facts(reason=error.reason))
        job.task.cancel()

    def _ended(self, upload: UploadName, task: asyncio.Task[Result]) -> None:
        job = self._jobs.pop(upload)
        if job.farewell is not None:
            job.farewell.cancel()
        # Nobody may be left to hear of a failure; it is logged in `_run`.
        if not task.cancelled():
            task.exception()

    async def _run(self, work: Work) -> Result:
        began = self._clock.monotonic()
        config = self.config(work.request.output_config)
        try:
            async with output_deadline(config.deadline_seconds, work.board.warn):
                result = await self._making.make(work)
        except ArtlabError as error:
            advise(error)
            log.info("job failed", extra=facts(config=config.name, reason=error.reason))
            raise
        except Exception as error:
            # The text of a foreign error may hold what a person typed.
            log.error("job failed", exc_info=error, extra=facts(config=config.name))
            raise Internal("MEDIA_BACKEND_ERROR", "the backend failed unexpectedly") from error
        seconds = self._clock.monotonic() - began
        first, count = result.files[0].name, len(result.files)
        log.info("recorded", extra=facts(config=config.name, entity=first, files=count, s=seconds))
        return result


def _draining() -> Unavailable:
    return Unavailable("DRAINING", "the service stops", retry_after_seconds=1.0)
