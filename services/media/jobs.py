"""Media jobs: one per upload name, joined by whoever asks for it again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping

from services.kit.clock import Clock
from services.kit.deadline import no_deadline
from services.kit.errors import (
    ArtlabError,
    Cancelled,
    Internal,
    ResourceExhausted,
    Unavailable,
)
from services.kit.ids import UploadName
from services.kit.log import facts, run_logged
from services.media.domain.advice import advise
from services.media.domain.output_config import OutputConfig
from services.media.domain.request import MediaRequest, Result
from services.media.making import Availability, Making, differs
from services.media.output_deadline import output_deadline
from services.media.ports import Backend
from services.media.progress import News, ProgressBoard
from services.media.recording import Recording

log = logging.getLogger(__name__)

GRACE_SECONDS = 10.0
BUSY_RETRY_SECONDS = 5.0
STOP_SECONDS = 20.0

Update = News | Result


class _Job:
    """One job in work; its task owns everything, callers only watch the board."""

    def __init__(
        self, request: MediaRequest, run: Callable[[_Job], Coroutine[None, None, Result]]
    ) -> None:
        self.request = request
        self.digest = request.digest()
        self.board = ProgressBoard()
        self.callers = 0
        self.farewell: asyncio.TimerHandle | None = None
        self.task = asyncio.create_task(run(self), name=f"media {request.upload}")


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
        MEDIA_BUSY, DeadlineExceeded DEADLINE, Cancelled MEDIA_CANCELLED, FailedPrecondition
        OUTPUT_NOT_AVAILABLE, and what the backend and the recorder raise.
        """
        while (job := self._join(request)) is None:
            # It is being stopped: what comes after its end is a job of its own.
            await asyncio.wait({self._jobs[request.upload].task})
        try:
            async for news in job.board.watch(job.task):
                yield news
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
        if job is None or job.task.done():
            # It may have been begun before a restart, or by a copy of this service.
            return await self._making.stop(upload)
        job.task.cancel()
        await asyncio.wait({job.task}, timeout=STOP_SECONDS)
        return job.task.cancelled()

    async def close(self) -> None:
        """Stop all jobs and wait for their ends; new ones are refused."""
        self._draining = True
        tasks = {job.task for job in self._jobs.values()}
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
        if job is not None and job.digest != request.digest():
            raise differs()
        if job is None:
            if len(self._jobs) >= self._max_jobs:
                raise ResourceExhausted(
                    "MEDIA_BUSY",
                    f"{self._max_jobs} jobs are in work",
                    retry_after_seconds=BUSY_RETRY_SECONDS,
                )
            # What the first caller has left of its time is not the job's.
            with no_deadline(), run_logged(str(request.upload.run)):
                job = _Job(request, self._run)
            self._jobs[request.upload] = job
            job.task.add_done_callback(lambda task: self._ended(request.upload, task))
        job.callers += 1
        if job.farewell is not None:
            job.farewell.cancel()
            job.farewell = None
        return job

    def _leave(self, job: _Job) -> None:
        job.callers -= 1
        if job.callers == 0 and not job.task.done():
            loop = asyncio.get_running_loop()
            job.farewell = loop.call_later(self._grace, job.task.cancel)

    def _ended(self, upload: UploadName, task: asyncio.Task[Result]) -> None:
        job = self._jobs.pop(upload)
        if job.farewell is not None:
            job.farewell.cancel()
        # Nobody may be left to hear of a failure; it is logged in `_run`.
        if not task.cancelled():
            task.exception()

    async def _run(self, job: _Job) -> Result:
        request, began = job.request, self._clock.monotonic()
        config = self.config(request.output_config)
        try:
            async with output_deadline(config.deadline_seconds, job.board.warn):
                result = await self._making.make(request, job.board, lambda: job.callers > 0)
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
