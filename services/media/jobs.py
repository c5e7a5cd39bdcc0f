"""Media jobs: one per upload name, joined by whoever asks for it again."""

from __future__ import annotations

import asyncio
import logging
import statistics
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.kit.clock import Clock
from services.kit.deadline import no_deadline
from services.kit.errors import (
    AlreadyExists,
    ArtlabError,
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from services.kit.ids import UploadName
from services.kit.log import facts, run_logged
from services.media.domain.output_config import OutputConfig
from services.media.domain.request import (
    REQUEST_DIGEST,
    EntityDraft,
    MediaRequest,
    Recorded,
    entity_metadata,
)
from services.media.ports import Backend, Product, RenderJob, RenderProgress
from services.media.progress import JobProgress, ProgressBoard
from services.media.recording import Recording

log = logging.getLogger(__name__)

GRACE_SECONDS = 10.0
BUSY_RETRY_SECONDS = 5.0
STOP_SECONDS = 20.0
# Durations of the last jobs of a config, for its typical duration.
REMEMBERED_JOBS = 21

Update = JobProgress | Recorded


@dataclass(frozen=True, slots=True)
class Availability:
    """An output config, and whether it can run here now."""

    config: OutputConfig
    reason: str | None
    typical_seconds: float | None


class _Job:
    """One job in work; its task owns everything, callers only watch the board."""

    def __init__(
        self, request: MediaRequest, run: Callable[[_Job], Coroutine[None, None, Recorded]]
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
        self._configs, self._backends = configs, backends
        self._recording, self._clock = recording, clock
        self._max_jobs, self._grace = max_jobs, grace_seconds
        self._jobs: dict[UploadName, _Job] = {}
        self._durations: dict[str, deque[float]] = {}
        self._draining = False

    async def availability(self) -> list[Availability]:
        """Every config, by name, with why it cannot run, if so."""
        names = sorted(self._configs)
        reasons = await asyncio.gather(*(self._reason(self._configs[name]) for name in names))
        return [
            Availability(self._configs[name], reason, self._typical(name))
            for name, reason in zip(names, reasons, strict=True)
        ]

    def config(self, name: str) -> OutputConfig:
        """Return a config. Raises NotFound CONFIG_NOT_FOUND."""
        if name not in self._configs:
            raise NotFound("CONFIG_NOT_FOUND", "no such output config", field="output_config")
        return self._configs[name]

    async def generate(self, request: MediaRequest) -> AsyncGenerator[Update, None]:
        """Start or join the job of this upload; yields progress, at last what was recorded.

        Raises AlreadyExists JOB_DIFFERS (the name was used for another request), ResourceExhausted
        MEDIA_BUSY, DeadlineExceeded DEADLINE, Cancelled MEDIA_CANCELLED, FailedPrecondition
        OUTPUT_NOT_AVAILABLE, and what the backend and the recorder raise.
        """
        while (job := self._join(request)) is None:
            # It is being stopped: what comes after its end is a job of its own.
            await asyncio.wait({self._jobs[request.upload].task})
        try:
            async for progress in job.board.watch(job.task):
                yield progress
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
            return False
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
            raise _differs()
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

    def _ended(self, upload: UploadName, task: asyncio.Task[Recorded]) -> None:
        job = self._jobs.pop(upload)
        if job.farewell is not None:
            job.farewell.cancel()
        # Nobody may be left to hear of a failure; it is logged in `_run`.
        if not task.cancelled():
            task.exception()

    async def _run(self, job: _Job) -> Recorded:
        request, began = job.request, self._clock.monotonic()
        config = self.config(request.output_config)
        try:
            async with asyncio.timeout(config.deadline_seconds) as deadline:
                recorded = await self._make(job, config)
        except TimeoutError as error:
            if not deadline.expired():
                raise Internal("INTERNAL", "a wait without a reason ran out") from error
            raise DeadlineExceeded(
                "DEADLINE", f"not done within {config.deadline_seconds:g} s"
            ) from error
        except ArtlabError as error:
            log.info("job failed", extra=facts(config=config.name, reason=error.reason))
            raise
        except Exception as error:
            # The text of a foreign error may hold what a person typed.
            log.error("job failed", exc_info=error, extra=facts(config=config.name))
            raise Internal("MEDIA_BACKEND_ERROR", "the backend failed unexpectedly") from error
        seconds = self._clock.monotonic() - began
        log.info("recorded", extra=facts(config=config.name, entity=recorded.name, s=seconds))
        return recorded

    async def _make(self, job: _Job, config: OutputConfig) -> Recorded:
        request, board = job.request, job.board
        found = await self._recording.find(request.upload)
        if found is not None:
            if found.request_digest != job.digest:
                raise _differs()
            return found
        reason = await self._reason(config)
        if reason is not None:
            raise FailedPrecondition("OUTPUT_NOT_AVAILABLE", reason)
        values = config.values(request.parameters)
        render = RenderJob(
            upload=request.upload,
            output_index=request.output_index,
            config=config,
            prompt=request.prompt,
            seed=request.drawn_seed(),
            recipe=request.recipe,
            values=values,
        )
        started_at, began = self._clock.now(), self._clock.monotonic()
        board.report(RenderProgress("queued"))
        product = await self._backends[config.backend].render(render, board.report)
        seconds = self._clock.monotonic() - began
        draft = EntityDraft(
            type=f"output_{config.kind}",
            output_index=request.output_index,
            started_at=started_at,
            duration=timedelta(seconds=seconds),
            attempt=render.attempt,
            backend=product.backend,
            model=product.model,
            metadata=_metadata(job, render, product),
        )
        board.recording(0, product.size_bytes)
        recorded = await self._recording.write(
            request.upload,
            product,
            draft,
            lambda size: board.recording(size, product.size_bytes),
            lambda: job.callers > 0,
        )
        board.recorded()
        self._durations.setdefault(config.name, deque(maxlen=REMEMBERED_JOBS)).append(seconds)
        return recorded

    async def _reason(self, config: OutputConfig) -> str | None:
        backend = self._backends.get(config.backend)
        if backend is None:
            return f"there is no backend {config.backend} here"
        return await backend.unavailable_reason(config)

    def _typical(self, name: str) -> float | None:
        durations = self._durations.get(name)
        return statistics.median(durations) if durations else None


def _metadata(job: _Job, render: RenderJob, product: Product) -> dict[str, str]:
    own = {
        "seed": str(render.seed),
        "output_config": render.config.name,
        REQUEST_DIGEST: job.digest,
    }
    if render.recipe:
        own["recipe"] = render.recipe
    return entity_metadata(render.values, product.metadata, own)


def _draining() -> Unavailable:
    return Unavailable("DRAINING", "the service stops", retry_after_seconds=1.0)


def _differs() -> AlreadyExists:
    return AlreadyExists("JOB_DIFFERS", "the upload name was used for another request")
