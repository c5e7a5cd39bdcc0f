"""What went wrong in a run, as its record tells it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from services.kit.errors import ArtlabError, FailedPrecondition
from services.kit.log import facts
from services.orchestrator.domain.documents import is_retryable, told
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.run import RunError
from services.orchestrator.engine.step import Attempt, StepBlocked, StepResult
from services.orchestrator.journal import Began
from services.orchestrator.run_in_work import RunInWork

log = logging.getLogger(__name__)


class Faults:
    """The faults of one run and its outputs."""

    def __init__(self, run: RunInWork) -> None:
        self._run = run
        # By output, 0 for what comes before them.
        self._began: dict[int, Began] = {0: run.journal.begin()}

    def begins(self, output_index: int) -> None:
        """Note when the work on an output began."""
        self._began.setdefault(output_index, self._run.journal.begin())

    def of_run(self, error: ArtlabError) -> RunError:
        """What a fault means where the run stands now."""
        return _fault(self._run.journal.stage_now, error)

    async def record(self, failed: StepResult, output: PlannedOutput | None = None) -> RunError:
        """Record why a step failed for good, with every try of it; return why."""
        cause = failed.cause
        if not isinstance(cause, ArtlabError):
            # Found in the record, where it is no more than that.
            cause = FailedPrecondition(failed.error, failed.message)
        return await self.record_error(cause, output, failed.attempts)

    async def record_error(
        self,
        error: ArtlabError,
        output: PlannedOutput | None = None,
        attempts: Sequence[Attempt] = (),
    ) -> RunError:
        """Record an error; return what it means for the run, or for the output it is about."""
        index, journal = (output.index if output else 0), self._run.journal
        stage = journal.stages.get(index, 3) if output else journal.stage_now
        about = {"output": index, "config": output.config} if output else {}
        log.warning("failed", extra=facts(stage=stage, reason=error.reason, **about))
        began = self._began.get(index) or journal.begin()
        try:
            await journal.error(error, began, stage=stage, output=output, attempts=attempts)
        except ArtlabError as problem:
            # The end says it as well, and may find room where a file does not.
            log.warning("error not recorded", extra=facts(reason=problem.reason))
        return _fault(stage, error)


def block(no: StepBlocked | StepResult) -> RunError:
    """What a verdict means for the run, or for the output it is about."""
    rule = no.rule if isinstance(no, StepBlocked) else no.message
    return RunError("SAFETY_BLOCKED", rule or "blocked", no.stage)


def _fault(stage: int, error: ArtlabError) -> RunError:
    return RunError(error.reason, told(error), stage, is_retryable(error))
