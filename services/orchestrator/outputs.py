"""The outputs of one run while it is driven: how each ends, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import cast

from services.kit.errors import ArtlabError, FailedPrecondition
from services.kit.log import facts
from services.orchestrator.domain.outcome import End
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.recorded_documents import error_of
from services.orchestrator.domain.run import FinalState, RenderWarning, RunError
from services.orchestrator.engine.each_output import NOT_AVAILABLE
from services.orchestrator.engine.graph import EACH_OUTPUT
from services.orchestrator.engine.observer import OutputEnd, OutputState, Unobserved
from services.orchestrator.engine.step import StepResult
from services.orchestrator.faults import Faults, block
from services.orchestrator.ports import MediaJob
from services.orchestrator.run_in_work import Blocked, RunInWork
from services.orchestrator.steps.media_generation import look, render, warn
from services.orchestrator.steps.rendering import Rendering
from services.orchestrator.steps.table import ANNOUNCING

log = logging.getLogger(__name__)

NOT_MADE = RunError("OUTPUT_NOT_MADE", "the pipeline ended without making it", 4)
LATE = RenderWarning("LATE_RESULT", "it came after its time was over, and was taken all the same")


@dataclass(frozen=True, slots=True)
class Late:
    """An output whose time was over, and when that was."""

    output: PlannedOutput
    failed: StepResult
    at: float


class Outputs(Unobserved):
    """Told by the executor how outputs end; writes it down."""

    def __init__(self, run: RunInWork, rendering: Rendering, faults: Faults) -> None:
        self._run = run
        self._rendering = rendering
        self._faults = faults
        self._late: list[Late] = []
        steps = run.plan.pipeline.steps
        self._announcing = {step.id for step in steps if step.kind in ANNOUNCING}
        # Nothing comes after the outputs, so that the last of them may end with the run.
        flow = run.plan.pipeline.flow
        self._ends_run = not any(
            step.kind == EACH_OUTPUT and flow.out_of(step.id) for step in flow.steps
        )
        self._held: tuple[PlannedOutput, End] | None = None

    def open(self) -> list[PlannedOutput]:
        """Those that have no end."""
        return [one for one in self._run.plan.outputs if one.index not in self._run.record.ends]

    @property
    def held(self) -> list[tuple[PlannedOutput, End]]:
        """The one that ends with the run, if any."""
        return [] if self._held is None else [self._held]

    async def settle_held(self) -> None:
        """Make that one final by itself, as far as the recorder lets it."""
        held, self._held = self._held, None
        if held is None:
            return
        output, _ = held
        del self._run.record.ends[output.index]
        await self._succeed(output)

    def ends(self) -> list[End]:
        """How all of them ended, in order. Raises KeyError while one is open."""
        return [self._run.record.ends[one.index] for one in self._run.plan.outputs]

    async def end_open(self, run: End | None) -> list[FinalState] | None:
        """Make final what is open, as its run ends; return how each of those is recorded now.

        None when the run has no end of its own that outputs could take.
        """
        end = run or End("failed", NOT_MADE)
        # They end as their run does; what it made before is its own.
        states = [await self._end(output, end) for output in self.open()]
        return None if run is None else states

    # What the executor tells

    async def step_begins(self, step: str, iteration: int, output_index: int) -> None:
        """Note when the work on something began."""
        self._faults.begins(output_index)
        if step not in self._announcing:
            # It may look into the record, or take long.
            await self._run.journal.settled()

    async def output_state(self, index: int) -> OutputState | None:
        """Return how an output ended, also when it was told by nothing but its error."""
        output = self._run.plan.outputs[index - 1]
        if index not in self._run.record.ends:
            error = self._run.record.find("error", output_index=index)
            if error is None:
                return None
            why = error_of(await self._run.record.bytes(error))
            await self._end(output, _as_fault(why))
        state = self._run.record.ends[index].state
        return cast("OutputState", state)

    async def output_ended(self, end: OutputEnd) -> None:
        """Make an output final, unless what came too late is still to be looked for."""
        output = self._run.plan.outputs[end.index - 1]
        # A step that was cut by its own time limit left the job at work.
        await self._rendering.stop(output)
        failed = end.failed_step
        if end.state == "succeeded" or failed is None:
            if self._ends_with_run(output):
                self._held = output, End("succeeded")
                self._run.record.ends[output.index] = End("succeeded")
            else:
                await self._succeed(output)
        elif end.state == "blocked":
            await self._end(output, End("blocked", block(failed)))
        elif _is_late(failed):
            self._late.append(Late(output, failed, self._run.clock.monotonic()))
        else:
            await self._end_badly(output, failed)

    # Late results

    async def settle_late(self) -> None:
        """Take what came too late after all, or end these outputs as they failed."""
        while self._late:
            late = self._late[0]
            await self._settle(late)
            self._late.remove(late)

    async def _settle(self, late: Late) -> None:
        run, output, job = self._run, late.output, self._rendering.last_job(late.output)
        over = late.at + run.services.late_grace_seconds - run.clock.monotonic()
        await asyncio.sleep(max(0.0, over))
        if job is None or not await self._took(replace(job, adopt_only=True)):
            await self._end_badly(output, late.failed)
            return
        await warn(run, output.index, LATE)
        try:
            await look(run, output, job.prompt)
        except Blocked as no:
            await self._end(output, End("blocked", block(no)))
        except ArtlabError as error:
            await self._fail(output, error)
        else:
            await self._succeed(output)

    async def _took(self, job: MediaJob) -> bool:
        try:
            await render(self._run, self._rendering, job)
        except ArtlabError as error:
            log.info("nothing came late", extra=facts(output=job.output.index, reason=error.reason))
            return False
        return True

    # Endings

    def _ends_with_run(self, output: PlannedOutput) -> bool:
        return self._ends_run and not self._late and self.open() == [output]

    async def _succeed(self, output: PlannedOutput) -> None:
        try:
            await self._end(output, End("succeeded"))
        except FailedPrecondition as error:
            if error.reason != "OUTPUT_HAS_NO_ENTITY":
                raise
            await self._fail(output, error)

    async def _end_badly(self, output: PlannedOutput, failed: StepResult) -> None:
        why = await self._faults.record(failed, output)
        await self._end(output, _as_fault(why))

    async def _fail(self, output: PlannedOutput, error: ArtlabError) -> None:
        why = await self._faults.record_error(error, output)
        await self._end(output, _as_fault(why))

    async def _end(self, output: PlannedOutput, end: End) -> FinalState:
        return await self._run.journal.output_final(output, end.state, end.error)


def _as_fault(why: RunError) -> End:
    missing = why.reason in NOT_AVAILABLE
    return End("not_available" if missing else "failed", why)


def _is_late(failed: StepResult) -> bool:
    # Of media, whose renderer may have gone on; not a limit of the step itself.
    return failed.error == "DEADLINE"
