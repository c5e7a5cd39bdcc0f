"""Which outputs of a run are being made, so that whoever ends it can stop their jobs."""

from __future__ import annotations

import asyncio
import logging

from services.kit.errors import ArtlabError
from services.kit.log import facts
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.ports import MediaJob
from services.orchestrator.run_in_work import RunInWork

log = logging.getLogger(__name__)

# Media goes on stopping after that; the end of a run is not to wait for it.
MEDIA_STOP_SECONDS = 2.0


class Rendering:
    """The jobs of one run."""

    def __init__(self, run: RunInWork) -> None:
        self._run = run
        # By output: the job that was asked for last, and those of them that may be at work.
        self._jobs: dict[int, MediaJob] = {}
        self._at_work: set[int] = set()

    def begins(self, job: MediaJob) -> None:
        """Say that media is asked for a job."""
        self._jobs[job.output.index] = job
        self._at_work.add(job.output.index)

    def ended(self, output: PlannedOutput) -> None:
        """Say that its job is over."""
        self._at_work.discard(output.index)

    def last_job(self, output: PlannedOutput) -> MediaJob | None:
        """Return what was asked for last."""
        return self._jobs.get(output.index)

    async def stop(self, output: PlannedOutput) -> None:
        """Stop the job of one output, if there may be one at work."""
        if output.index not in self._at_work:
            return
        self._at_work.discard(output.index)
        try:
            async with asyncio.timeout(MEDIA_STOP_SECONDS):
                await self._run.services.media.cancel(self._run.plan.run_id, output)
        except (ArtlabError, TimeoutError) as problem:
            reason = problem.reason if isinstance(problem, ArtlabError) else "NO_ANSWER"
            log.warning("could not stop the media job", extra=facts(reason=reason))

    async def stop_all(self) -> None:
        """Stop every job there may be, at once."""
        at_work = [self._jobs[index].output for index in sorted(self._at_work)]
        await asyncio.gather(*(self.stop(output) for output in at_work))
