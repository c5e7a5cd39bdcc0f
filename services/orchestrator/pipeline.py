"""The four stages of a run, in the order a person would tell them.

1. translation_and_safety: what was typed is checked, translated, and checked again.
2. interception: the text goes through the recipe, pass by pass; nothing unchecked goes on.
3. pre_output_safety: for each output, the very text its renderer will get is checked.
4. media_generation: the renderer makes it, and the recorder has it.

Blocked is a verdict, failed is a fault, cancelled is a wish. A block or a fault before stage 3 ends
the run; in stage 3 or 4 it ends that output, and the next one goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from services.kit.clock import Clock
from services.kit.errors import ArtlabError, Internal
from services.kit.log import facts
from services.orchestrator.domain.documents import is_retryable
from services.orchestrator.domain.outcome import outcome
from services.orchestrator.domain.plan import Plan, PlannedOutput
from services.orchestrator.domain.run import (
    FinalState,
    Kind,
    PassResult,
    Purpose,
    RenderProgress,
    RunError,
    Verdict,
)
from services.orchestrator.hints import HintSender
from services.orchestrator.journal import Began, Journal
from services.orchestrator.patience import patiently
from services.orchestrator.ports import Interception, Media, Recorder, Safety

log = logging.getLogger(__name__)

TRANSLATION = "translation_en"
# Where two texts meet, this much of each is checked together.
SEAM_CHARACTERS = 2_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Services:
    """The peers of the orchestrator, and how long a run waits for one that is away."""

    recorder: Recorder
    safety: Safety
    interception: Interception
    media: Media
    patience_seconds: float = 30.0
    recorder_patience_seconds: float = 60.0


class Blocked(Exception):
    """A check said no before stage 3; carries where and the verdict."""

    def __init__(self, stage: int, verdict: Verdict) -> None:
        super().__init__(stage, verdict.rule)
        self.stage = stage
        self.verdict = verdict


class Pipeline:
    """Carries out one plan, once."""

    def __init__(self, plan: Plan, services: Services, hints: HintSender, clock: Clock) -> None:
        self._plan = plan
        self._services = services
        self._hints = hints
        self._clock = clock
        self._journal = Journal(plan, services.recorder, clock, services.recorder_patience_seconds)
        self._stage = 1
        self._language = plan.request.language
        self._ended: dict[int, FinalState] = {}
        self._errors: dict[int, RunError] = {}
        self._rendering: PlannedOutput | None = None

    async def drive(self) -> None:
        """Carry the run to its final state. Cancel the task and call `stop` to end it early."""
        began = self._journal.begin()
        try:
            text = await self._understand()
            text = await self._intercept(text)
        except Blocked as blocked:
            await self._end_all("blocked", _block(blocked.stage, blocked.verdict))
            return
        except ArtlabError as error:
            await self._fail(error, began)
            return
        for output in self._plan.outputs:
            await self._make(output, text)
        state = outcome([self._ended[output.index] for output in self._plan.outputs])
        await self._journal.run_final(state, self._why(state))

    async def stop(self, state: FinalState, error: RunError | None) -> None:
        """End a run whose task was cancelled: stop its job, make everything final."""
        if self._rendering is not None:
            try:
                await self._services.media.cancel(self._plan.run_id, self._rendering)
            except ArtlabError as problem:
                log.warning("could not stop the media job", extra=facts(reason=problem.reason))
        if len(self._ended) == len(self._plan.outputs):
            # Too late: everything that was asked for has its end already.
            state = outcome(list(self._ended.values()))
            error = self._why(state)
        await self._end_all(state, error)

    # Stage 1

    async def _understand(self) -> str:
        request, journal = self._plan.request, self._journal
        await journal.stage(1, "translation_and_safety")
        began = journal.begin()
        if not self._language:
            self._language = await self._steady(
                lambda: self._services.interception.detect_language(request.input_text)
            )
        verdicts: list[Verdict] = []
        text = request.input_text
        try:
            await self._check(1, verdicts, "input", request.input_text)
            if request.context:
                await self._check(1, verdicts, "context", request.context)
                await self._check(1, verdicts, "context", _seam(request.context, text))
            if self._plan.recipe.translates_input:
                text = await self._translate(verdicts)
        except (Blocked, ArtlabError):
            if verdicts:
                await journal.verdicts("safety", "safety", verdicts, began, stage=1)
            raise
        await journal.verdicts("safety", "safety", verdicts, began, stage=1)
        return text

    async def _translate(self, verdicts: list[Verdict]) -> str:
        began = self._journal.begin()
        original = self._plan.request.input_text
        result = await self._pass(TRANSLATION, "translation", original, 1)
        blocked: Blocked | None = None
        try:
            if result.text != original:
                await self._check(1, verdicts, "translation", result.text)
                if self._plan.request.context:
                    seam = _seam(self._plan.request.context, result.text)
                    await self._check(1, verdicts, "context", seam)
        except Blocked as no:
            blocked = no
        await self._journal.text(
            "translation",
            "translation",
            result.text,
            began,
            stage=1,
            audience="research" if blocked else "advanced",
            metadata={
                **result.parameters,
                "from_language": result.from_language,
                "to_language": result.to_language,
                "translated": "true" if result.translated else "false",
            },
            models=[result.used],
        )
        if blocked is not None:
            raise blocked
        return result.text

    # Stage 2

    async def _intercept(self, text: str) -> str:
        self._stage = 2
        journal, recipe = self._journal, self._plan.recipe
        await journal.stage(2, "interception")
        began = journal.begin()
        result: PassResult | None = None
        recursive = recipe.passes > 1
        for number in range(1, recipe.passes + 1):
            pass_began = journal.begin()
            if result is not None:
                await self._check_between(result)
            entity_type = "interception_pass" if recursive else "interception"
            result = await self._pass(recipe.name, entity_type, text, number)
            text = result.text
            if recursive:
                await journal.text(
                    f"interception-pass-{number}",
                    "interception_pass",
                    text,
                    pass_began,
                    stage=2,
                    audience="advanced",
                    pass_number=number,
                    metadata=_pass_metadata(result),
                    models=[result.used],
                )
        if result is None:
            raise Internal("NO_PASSES", f"{recipe.name} has no passes")
        await journal.text(
            "interception",
            "interception",
            text,
            began,
            stage=2,
            audience="student",
            metadata=_pass_metadata(result),
            models=[result.used],
        )
        return text

    async def _check_between(self, result: PassResult) -> None:
        # A pass may say what its input did not; the next model must not see it unchecked.
        began, verdicts = self._journal.begin(), list[Verdict]()
        try:
            await self._check(2, verdicts, "interception", result.text)
        except Blocked:
            await self._journal.verdicts(
                f"safety-pass-{result.number}",
                "safety",
                verdicts,
                began,
                stage=2,
                pass_number=result.number,
            )
            raise

    async def _pass(self, config_name: str, entity_type: str, text: str, number: int) -> PassResult:
        return await self._steady(lambda: self._pass_once(config_name, entity_type, text, number))

    async def _pass_once(
        self, config_name: str, entity_type: str, text: str, number: int
    ) -> PassResult:
        request = self._plan.request
        hinted_pass = number if entity_type == "interception_pass" else 0
        offset = 0
        async for update in self._services.interception.intercept(
            config_name,
            text,
            language=self._language,
            context=request.context if config_name == self._plan.recipe.name else "",
            mode=request.mode,
            seed=self._plan.seed,
            pass_number=number,
        ):
            if isinstance(update, PassResult):
                return update
            self._hints.text(entity_type, hinted_pass, offset, update)
            offset += len(update)
        raise Internal("INTERCEPTION_PROTOCOL", "the stream ended without a result")

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
        except ArtlabError as error:
            self._rendering = None
            log.warning(
                "output failed",
                extra=facts(output=output.index, config=output.config, reason=error.reason),
            )
            await self._journal.error(error, began, stage=self._stage, output=output)
            missing = error.reason == "OUTPUT_NOT_AVAILABLE"
            state: FinalState = "not_available" if missing else "failed"
            await self._end(output, state, _fault(self._stage, error))
        else:
            await self._end(output, "succeeded", None)

    async def _check_output(self, output: PlannedOutput, text: str, began: Began) -> Verdict:
        await self._journal.stage(3, "pre_output_safety", output.index)
        verdict = await self._verdict("media_prompt", text, output.kind)
        await self._journal.verdicts(
            f"output-{output.index}-safety",
            "safety_pre_output",
            [verdict],
            began,
            stage=3,
            output_index=output.index,
        )
        return verdict

    async def _render(self, output: PlannedOutput, text: str) -> None:
        def report(progress: RenderProgress) -> None:
            self._hints.render(output.index, progress)

        await self._journal.stage(4, "media_generation", output.index)
        self._rendering = output
        await self._steady(
            lambda: self._services.media.generate(
                self._plan.run_id, output, text, self._plan.recipe.name, report
            )
        )
        self._rendering = None

    # Checks and endings

    async def _check(
        self, stage: int, verdicts: list[Verdict], purpose: Purpose, text: str
    ) -> None:
        verdict = await self._verdict(purpose, text)
        verdicts.append(verdict)
        if not verdict.safe:
            raise Blocked(stage, verdict)

    async def _verdict(self, purpose: Purpose, text: str, kind: Kind | None = None) -> Verdict:
        return await self._steady(
            lambda: self._services.safety.check_text(
                text, self._plan.level, purpose, self._language, kind
            )
        )

    async def _steady(self, call: Callable[[], Awaitable[T]]) -> T:
        return await patiently(call, self._services.patience_seconds, self._clock)

    async def _fail(self, error: ArtlabError, began: Began) -> None:
        log.warning("run failed", extra=facts(stage=self._stage, reason=error.reason))
        await self._journal.error(error, began, stage=self._stage)
        await self._end_all("failed", _fault(self._stage, error))

    async def _end(self, output: PlannedOutput, state: FinalState, error: RunError | None) -> None:
        await self._journal.output_final(output, state, error)
        self._ended[output.index] = state
        if error is not None:
            self._errors[output.index] = error

    def _why(self, state: FinalState) -> RunError | None:
        # The first output that ended as the run did; one that is not available is a fault.
        if state not in ("blocked", "failed"):
            return None
        for index, error in sorted(self._errors.items()):
            if (self._ended[index] == "blocked") == (state == "blocked"):
                return error
        return None

    async def _end_all(self, state: FinalState, error: RunError | None) -> None:
        for output in self._plan.outputs:
            if output.index not in self._ended:
                await self._end(output, state, error)
        await self._journal.run_final(state, error)


def _seam(first: str, second: str) -> str:
    # A forbidden word can be split over two fields; a model reads them one after the other.
    return f"{first[-SEAM_CHARACTERS:]}\n{second[:SEAM_CHARACTERS]}"


def _block(stage: int, verdict: Verdict) -> RunError:
    return RunError("SAFETY_BLOCKED", verdict.rule or "blocked", stage)


def _fault(stage: int, error: ArtlabError) -> RunError:
    return RunError(error.reason, error.message, stage, is_retryable(error))


def _pass_metadata(result: PassResult) -> dict[str, str]:
    return {
        **result.parameters,
        "from_language": result.from_language,
        "to_language": result.to_language,
    }
