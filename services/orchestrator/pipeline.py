"""One run on its way: its pipeline carried out, its outputs and itself made final.

Driving a run from its beginning and going on with one are the same: what the record has is taken
from there, and everything else is done. The default pipeline is the four stages:

1. translation_and_safety: what was typed is checked, translated, and checked again.
2. interception: the text goes through the recipe, pass by pass; nothing unchecked goes on.
3. pre_output_safety: for each output, the very texts its renderer will get are checked.
4. media_generation: the renderer makes it, and the recorder has it; what is seen is looked at
   (image_check) at levels that ask for it, and what is written is judged (code_check, text_check).

Before stage 1 a run waits for the pictures its person was to bring (input_images).

Blocked is a verdict, failed is a fault, cancelled is a wish. A block or a fault before stage 3 ends
the run; in stage 3 or 4 it ends that output, and the others go on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from services.kit.errors import ArtlabError, FailedPrecondition
from services.orchestrator.domain.outcome import End, outcome
from services.orchestrator.domain.recorded_documents import error_of
from services.orchestrator.domain.run import FinalState, RunError
from services.orchestrator.engine.executor import Executor
from services.orchestrator.engine.graph import EACH_OUTPUT
from services.orchestrator.engine.registry import Registry
from services.orchestrator.engine.step import PipelineResult, StepResult, StepWaits
from services.orchestrator.faults import Faults, block
from services.orchestrator.input_images import InputImages
from services.orchestrator.outputs import Outputs
from services.orchestrator.run_in_work import Parked, RunInWork
from services.orchestrator.steps.memory import RecordedMemory
from services.orchestrator.steps.place import INPUT_IMAGES, RENDERING, RUN
from services.orchestrator.steps.rendering import Rendering
from services.orchestrator.steps.table import FACTORIES
from services.orchestrator.telemetry import LoggedTelemetry
from services.orchestrator.template_values import input_values, plan_values
from services.orchestrator.tracker import RecordTracker

# The output that was to end with its run has another end.
_ENDS_DIFFER = frozenset({"OUTPUT_HAS_NO_ENTITY", "OUTPUTS_DISAGREE"})


class Pipeline:
    """Carries out the plan of one run, from wherever it stands."""

    def __init__(self, run: RunInWork, input_images: InputImages) -> None:
        self.input_images = input_images
        self._run = run
        self._journal = run.journal
        self._faults = Faults(run)
        self._rendering = Rendering(run)
        self._outputs = Outputs(run, self._rendering, self._faults)
        # How the run ends, once that is decided; inside of it None is an end by its outputs.
        self._meant: tuple[End | None] | None = None

    @property
    def stage(self) -> int:
        """Where the run stands, 1 to 4."""
        return self._journal.stage_now

    async def drive(self) -> Parked | None:
        """Carry the run to its final state, or to a question for a person.

        Cancel the task and call `stop` to end it early. Raises ClaimLost when somebody else drives
        the run; then nothing more is to be done here.
        """
        try:
            return await self._drive()
        finally:
            await self._journal.close()

    async def _drive(self) -> Parked | None:
        known = await self._known_end()
        if known is not None:
            await self._end_all(known)
            return None
        try:
            result = await self._carry_out()
        except StepWaits as waits:
            await self._outputs.settle_late()
            await self._outputs.settle_held()
            await self._journal.settled()
            return Parked(self._still_to_wait(waits))
        await self._outputs.settle_late()
        await self._end_all(await self._end_of(result))
        return None

    async def stop(self, state: FinalState, error: RunError | None) -> None:
        """End a run that does not go on: stop its jobs, make everything final. May be repeated."""
        await self._rendering.stop_all()
        # Too late: everything that was asked for has its end already.
        await self._end_all(End(state, error) if self._outputs.open() else None)

    def fault(self, error: ArtlabError) -> RunError:
        """What a fault means where the run stands now."""
        return self._faults.of_run(error)

    async def _carry_out(self) -> PipelineResult:
        run = self._run
        services = Registry(
            {
                "telemetry": LoggedTelemetry(),
                **run.services.others,
                "tracker": RecordTracker(run.services.recorder),
                "recorder": run.services.recorder,
                "safety": run.services.safety,
                "interception": run.services.interception,
                "media": run.services.media,
                "clock": run.clock,
                RUN: run,
                INPUT_IMAGES: self.input_images,
                RENDERING: self._rendering,
            }
        )
        executor = Executor(
            run.plan.pipeline,
            FACTORIES,
            services,
            RecordedMemory(run),
            run_id=run.plan.run_id,
            observer=self._outputs,
            clock=run.clock,
            outputs_at_once=run.services.outputs_at_once,
            output_slots=run.services.output_places,
        )
        return await executor.run(input_values(run.plan), plan_values(run.plan))

    def _still_to_wait(self, waits: StepWaits) -> float:
        # Other steps and outputs may have taken long since it was asked.
        over = min(self._run.awaited.values(), default=math.inf) - self._run.clock.monotonic()
        return min(waits.seconds, max(0.0, over))

    # Endings

    async def _known_end(self) -> End | None:
        # Whoever drove the run before had begun to end it.
        record = self._run.record
        if any(end.state == "cancelled" for end in record.ends.values()):
            return End("cancelled")
        error = record.find("error", output_index=0)
        return None if error is None else End("failed", error_of(await record.bytes(error)))

    async def _end_of(self, result: PipelineResult) -> End | None:
        failed = result.failed_step
        if result.state == "succeeded" or failed is None or self._is_for_outputs(failed):
            return None
        if result.state == "blocked":
            return End("blocked", block(failed))
        return End("failed", await self._faults.record(failed))

    def _is_for_outputs(self, failed: StepResult) -> bool:
        step = self._run.plan.pipeline.flow.by_id.get(failed.step_name)
        return step is not None and step.kind == EACH_OUTPUT and failed.cause is None

    async def _end_all(self, run: End | None) -> None:
        # What was decided first stays: an end is tried again, it does not change.
        self._meant = self._meant or (run,)
        (run,) = self._meant
        cut = await self._outputs.end_open(run)
        try:
            await self._make_final(run, cut)
        except FailedPrecondition as error:
            if error.reason not in _ENDS_DIFFER or not self._outputs.held:
                raise
            await self._outputs.settle_held()
            await self._make_final(run, cut)

    async def _make_final(self, run: End | None, cut: Sequence[FinalState] | None) -> None:
        end = outcome(self._outputs.ends(), run, cut)
        await self._journal.run_final(end.state, end.error, self._outputs.held)
