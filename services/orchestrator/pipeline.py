"""The four stages of a run, in the order a person would tell them.

1. translation_and_safety: what was typed is checked, translated, and checked again.
2. interception: the text goes through the recipe, pass by pass; nothing unchecked goes on.
3. pre_output_safety: for each output, the very texts its renderer will get are checked.
4. media_generation: the renderer makes it, and the recorder has it; what is seen is looked at
   (image_check) at levels that ask for it, and what is written is judged
   (code_check, text_check).

Before stage 1 a run waits for the pictures its person was to bring (input_images).

Blocked is a verdict, failed is a fault, cancelled is a wish. A block or a fault before stage 3 ends
the run; in stage 3 or 4 it ends that output, and the next one goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing

from services.kit.errors import ArtlabError, FailedPrecondition
from services.kit.log import facts
from services.orchestrator.code_check import read_through
from services.orchestrator.domain.documents import is_retryable, told
from services.orchestrator.domain.outcome import outcome
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.run import (
    FinalState,
    RenderPreview,
    RenderProgress,
    RenderWarning,
    RunError,
    Verdict,
)
from services.orchestrator.image_check import look_at
from services.orchestrator.input_images import InputImages
from services.orchestrator.journal import Began
from services.orchestrator.patience import peer_is_away
from services.orchestrator.ports import MediaJob
from services.orchestrator.run_in_work import Blocked, RunInWork
from services.orchestrator.text_stages import TextStages, seam

log = logging.getLogger(__name__)

# Media goes on stopping after that; the end of a run is not to wait for it.
MEDIA_STOP_SECONDS = 2.0


class Pipeline:
    """Carries out one plan, once."""

    def __init__(self, run: RunInWork, input_images: InputImages) -> None:
        self.input_images = input_images
        self._run = run
        self._plan = run.plan
        self._journal = run.journal
        self._stage = 1
        self._ended: dict[int, FinalState] = {}
        self._errors: dict[int, RunError] = {}
        self._rendering: PlannedOutput | None = None
        self._pictures: Sequence[int] = ()
        # How the run ends, once that is decided.
        self._meant: tuple[FinalState, RunError | None] | None = None

    @property
    def stage(self) -> int:
        """Where the run stands, 1 to 4."""
        return self._stage

    async def drive(self) -> None:
        """Carry the run to its final state. Cancel the task and call `stop` to end it early."""
        began = self._journal.begin()
        try:
            self._pictures = await self.input_images.all_there()
            texts = TextStages(self._run)
            text = await texts.understand()
            self._stage = 2
            text = await texts.intercept(text)
        except Blocked as blocked:
            await self._end_all("blocked", _block(blocked.stage, blocked.verdict))
            return
        except ArtlabError as error:
            await self._fail(error, began)
            return
        for output in self._plan.outputs:
            await self._make(output, text)
        await self._end_all(*self._as_outputs())

    async def stop(self, state: FinalState, error: RunError | None) -> None:
        """End a run that does not go on: stop its job, make everything final. May be repeated."""
        await self._stop_rendering()
        if len(self._ended) == len(self._plan.outputs):
            # Too late: everything that was asked for has its end already.
            state, error = self._as_outputs()
        await self._end_all(state, error)

    def fault(self, error: ArtlabError) -> RunError:
        """What a fault means where the run stands now."""
        return _fault(self._stage, error)

    # Stages 3 and 4

    async def _make(self, output: PlannedOutput, text: str) -> None:
        began = self._journal.begin()
        self._stage = 3
        try:
            verdict = await self._check_output(output, text, began)
            if not verdict.safe:
                await self._end(output, "blocked", _block(3, verdict))
                return
            self._stage = 4
            await self._render(output, text)
            refusal = await look_at(self._run, output)
            refusal = refusal or await read_through(self._run, output, text)
            if refusal is not None:
                await self._end(output, "blocked", _block(4, refusal))
                return
        except ArtlabError as error:
            if peer_is_away(error):
                # Its job may go on, and must not write into what is over.
                await self._stop_rendering()
            self._rendering = None
            await self._end_badly(output, error, began)
            return
        try:
            await self._end(output, "succeeded", None)
        except FailedPrecondition as error:
            if error.reason != "OUTPUT_HAS_NO_ENTITY":
                raise
            await self._end_badly(output, error, began)

    async def _end_badly(self, output: PlannedOutput, error: ArtlabError, began: Began) -> None:
        log.warning(
            "output failed",
            extra=facts(output=output.index, config=output.config, reason=error.reason),
        )
        await self._record_error(error, began, output)
        missing = error.reason == "OUTPUT_NOT_AVAILABLE"
        await self._end(output, "not_available" if missing else "failed", self.fault(error))

    async def _check_output(self, output: PlannedOutput, text: str, began: Began) -> Verdict:
        await self._journal.stage(3, "pre_output_safety", output.index)
        verdicts: list[Verdict] = []
        # As "context" a text for a slot may name what a renderer must not draw.
        slots = [one for given in output.slot_texts for one in (given, seam(given, text))]
        for one in (text, *slots):
            verdicts.append(await self._run.verdict("media_prompt", one, output.kind))
            if not verdicts[-1].safe:
                break
        await self._journal.verdicts(
            f"output-{output.index}-safety",
            "safety_pre_output",
            verdicts,
            began,
            stage=3,
            output_index=output.index,
        )
        return verdicts[-1]

    async def _render(self, output: PlannedOutput, text: str) -> None:
        request = self._plan.request
        job = MediaJob(
            run_id=self._plan.run_id,
            output=output,
            prompt=text,
            recipe=self._plan.recipe.name,
            user_id=request.user_id,
            input_images=dict(zip(output.image_slots, self._pictures, strict=False)),
            allow_reuse=request.allow_reuse,
        )
        await self._journal.stage(4, "media_generation", output.index)
        self._rendering = output
        await self._run.steady(lambda: self._follow(job))
        self._rendering = None

    async def _follow(self, job: MediaJob) -> None:
        index, hints = job.output.index, self._run.hints
        async with aclosing(self._run.services.media.generate(job)) as updates:
            async for update in updates:
                match update:
                    case RenderProgress():
                        hints.render(index, update)
                    case RenderPreview():
                        # Nobody may see it at a level whose pictures are checked.
                        if not self._plan.checks_images:
                            hints.preview(index, update)
                    case RenderWarning():
                        await self._warn(index, update)

    async def _warn(self, output_index: int, warning: RenderWarning) -> None:
        try:
            await self._journal.warning(output_index, warning)
        except ArtlabError as problem:
            # It ends nothing, and neither does its loss.
            log.warning("warning not recorded", extra=facts(reason=problem.reason))

    async def _stop_rendering(self) -> None:
        output, self._rendering = self._rendering, None
        if output is None:
            return
        try:
            async with asyncio.timeout(MEDIA_STOP_SECONDS):
                await self._run.services.media.cancel(self._plan.run_id, output)
        except (ArtlabError, TimeoutError) as problem:
            reason = problem.reason if isinstance(problem, ArtlabError) else "NO_ANSWER"
            log.warning("could not stop the media job", extra=facts(reason=reason))

    # Endings

    async def _fail(self, error: ArtlabError, began: Began) -> None:
        log.warning("run failed", extra=facts(stage=self._stage, reason=error.reason))
        await self._record_error(error, began)
        await self._end_all("failed", self.fault(error))

    async def _record_error(
        self, error: ArtlabError, began: Began, output: PlannedOutput | None = None
    ) -> None:
        try:
            await self._journal.error(error, began, stage=self._stage, output=output)
        except ArtlabError as problem:
            # The end says it as well, and may find room where a file does not.
            log.warning("error not recorded", extra=facts(reason=problem.reason))

    async def _end(self, output: PlannedOutput, state: FinalState, error: RunError | None) -> None:
        recorded = await self._journal.output_final(output, state, error)
        self._ended[output.index] = recorded
        if error is not None and recorded == state:
            self._errors[output.index] = error

    def _as_outputs(self) -> tuple[FinalState, RunError | None]:
        state = outcome([self._ended[output.index] for output in self._plan.outputs])
        return state, self._why(state)

    def _why(self, state: FinalState) -> RunError | None:
        # The first output that ended as the run did; one that is not available is a fault.
        if state not in ("blocked", "failed"):
            return None
        for index, error in sorted(self._errors.items()):
            if (self._ended[index] == "blocked") == (state == "blocked"):
                return error
        return None

    async def _end_all(self, state: FinalState, error: RunError | None) -> None:
        # What was decided first stays: an end is tried again, it does not change.
        self._meant = self._meant or (state, error)
        state, error = self._meant
        cut = [output for output in self._plan.outputs if output.index not in self._ended]
        for output in cut:
            await self._end(output, state, error)
        if cut and all(self._ended[output.index] != state for output in cut):
            # They had ended already, and only the answer that said so was lost.
            self._meant = self._as_outputs()
        elif state == "failed" and "succeeded" in self._ended.values():
            # A run that is cut short keeps what it made; each output has its own reason.
            self._meant = ("partial", None)
        await self._journal.run_final(*self._meant)


def _block(stage: int, verdict: Verdict) -> RunError:
    return RunError("SAFETY_BLOCKED", verdict.rule or "blocked", stage)


def _fault(stage: int, error: ArtlabError) -> RunError:
    return RunError(error.reason, told(error), stage, is_retryable(error))
