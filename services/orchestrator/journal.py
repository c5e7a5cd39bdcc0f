"""What one run writes into its record, patiently: a recorder that restarts costs time, no facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from services.kit.clock import Clock
from services.kit.errors import ArtlabError
from services.orchestrator.domain.documents import (
    blocking,
    error_document,
    explanation_document,
    step_document,
    verdict_document,
)
from services.orchestrator.domain.outcome import End
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.run import (
    Audience,
    EntityDraft,
    FinalState,
    ModelUse,
    PreparedImage,
    RecordedEntity,
    RecordedRun,
    RenderWarning,
    RunError,
    Verdict,
)
from services.orchestrator.engine.step import Attempt, JsonObject
from services.orchestrator.record import ITERATION, STEP, marks_of
from services.orchestrator.sending import Sending


@dataclass(frozen=True, slots=True)
class Began:
    """When the work on an entity began."""

    clock: Clock
    at: float

    def elapsed(self) -> timedelta:
        """How long it has taken so far."""
        return timedelta(seconds=self.clock.monotonic() - self.at)


class Journal(Sending):
    """The writing side of one run. Every method may be repeated without harm."""

    def begin(self) -> Began:
        """Note that work on an entity begins now."""
        return Began(self._clock, self._clock.monotonic())

    async def text(
        self,
        upload_id: str,
        entity_type: str,
        text: str,
        began: Began,
        *,
        stage: int,
        audience: Audience,
        pass_number: int = 0,
        output_index: int = 0,
        metadata: Mapping[str, str] | None = None,
        models: Sequence[ModelUse] = (),
        attempt: int = 1,
        with_next: bool = False,
    ) -> None:
        """Record a text, `with_next` together with what is recorded next."""
        await self._keep(
            EntityDraft(
                upload_id=upload_id,
                type=entity_type,
                data=text.encode(),
                stage=stage,
                audience=audience,
                started=self._clock.now() - began.elapsed(),
                duration=began.elapsed(),
                pass_number=pass_number,
                output_index=output_index,
                metadata=metadata or {},
                models=tuple(models),
                attempt=attempt,
            ),
            with_next=with_next,
        )

    async def verdicts(
        self,
        upload_id: str,
        entity_type: str,
        verdicts: Sequence[Verdict],
        began: Began,
        *,
        stage: int,
        output_index: int = 0,
        pass_number: int = 0,
        metadata: Mapping[str, str] | None = None,
        evidence: Mapping[str, str] | None = None,
        with_next: bool = False,
    ) -> None:
        """Record what the checks said, and for a no its explanation as an entity of its own.

        The verdict is evidence, for research; the explanation is for the person. `metadata` goes
        to both, `evidence` to the verdict only. A yes is recorded together with what follows if
        `with_next` says so, a no together with its explanation.
        """
        draft = EntityDraft(
            upload_id=upload_id,
            type=entity_type,
            data=verdict_document(stage, self._plan.level, verdicts),
            stage=stage,
            audience="research",
            started=self._clock.now() - began.elapsed(),
            duration=began.elapsed(),
            output_index=output_index,
            pass_number=pass_number,
            metadata={**(metadata or {}), **(evidence or {})},
            models=tuple(dict.fromkeys(verdict.used for verdict in verdicts)),
            attempt=max(verdict.attempt for verdict in verdicts),
        )
        no = blocking(verdicts)
        if no is None:
            await self._keep(draft, tuple(verdicts), with_next=with_next)
            return
        explanation = _explanation(replace(draft, attempt=no.attempt), no, metadata or {})
        await self._record(draft, tuple(verdicts), explanation)

    async def explain(
        self,
        upload_id: str,
        no: Verdict,
        *,
        stage: int,
        output_index: int = 0,
        pass_number: int = 0,
        metadata: Mapping[str, str] | None = None,
        attempt: int = 1,
    ) -> None:
        """Record the explanation of a no that was found in the record, unless it is there."""
        about = marks_of(metadata or {})
        for one in self.record.all(
            "explanation", stage=stage, output_index=output_index, marks=about
        ):
            if one.pass_number == pass_number and one.metadata == (metadata or {}):
                return
        draft = EntityDraft(
            upload_id=upload_id,
            type="explanation",
            data=b"",
            stage=stage,
            audience="student",
            started=self._clock.now(),
            duration=timedelta(0),
            output_index=output_index,
            pass_number=pass_number,
            attempt=attempt,
        )
        await self._record(_explanation(draft, no, metadata or {}))

    async def step_output(
        self,
        upload_id: str,
        step: str,
        iteration: int,
        output_index: int,
        output: JsonObject,
        attempts: Sequence[Attempt],
    ) -> None:
        """Record what a step gave that leaves nothing else behind, and every try of it."""
        duration = sum((one.duration for one in attempts), timedelta(0))
        await self._record(
            EntityDraft(
                upload_id=upload_id,
                type="step_output",
                data=step_document(step, iteration, output_index, output, attempts),
                stage=self.stage_now,
                audience="research",
                started=self._clock.now() - duration,
                duration=duration,
                output_index=output_index,
                metadata={STEP: step, ITERATION: str(iteration)},
                attempt=max((one.number for one in attempts), default=1),
            )
        )

    async def input_image(
        self, upload_id: str, image: PreparedImage, began: Began, metadata: Mapping[str, str]
    ) -> RecordedEntity:
        """Record a picture that a person brought."""
        return await self._record(
            EntityDraft(
                upload_id=upload_id,
                type="input_image",
                data=image.data,
                stage=1,
                audience="student",
                started=self._clock.now() - began.elapsed(),
                duration=began.elapsed(),
                metadata=metadata,
            )
        )

    async def erase(self, entity: RecordedEntity) -> None:
        """Remove the bytes of an entity that a check has refused."""
        run, sequence = self._plan.run_id, entity.sequence
        await self._write(lambda: self._recorder.erase(run, sequence, "SAFETY_BLOCKED"))
        self.record.add(replace(entity, erased=True))

    async def warning(self, output_index: int, warning: RenderWarning) -> None:
        """Record something a person should know."""
        run = self._plan.run_id
        await self._write(lambda: self._recorder.warn(run, output_index, warning))

    async def error(
        self,
        error: ArtlabError,
        began: Began,
        *,
        stage: int,
        output: PlannedOutput | None = None,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        """Record what went wrong, so that the folder tells it."""
        details = {"output_config": output.config} if output else {}
        where = f"output-{output.index}-error" if output else f"stage-{stage}-error"
        await self._record(
            EntityDraft(
                upload_id=where,
                type="error",
                data=error_document(stage, error, details, attempts),
                stage=stage,
                audience="advanced",
                started=self._clock.now() - began.elapsed(),
                duration=began.elapsed(),
                output_index=output.index if output else 0,
            )
        )

    async def output_final(
        self, output: PlannedOutput, state: FinalState, error: RunError | None = None
    ) -> FinalState:
        """Make one output final; return how it is recorded, which may be from an earlier call."""
        run = self._plan.run_id
        recorded = await self._end(
            lambda: self._recorder.finalize_output(run, output, state, error)
        )
        self.record.ends[output.index] = End(recorded, error if recorded == state else None)
        return recorded

    async def run_final(
        self,
        state: FinalState,
        error: RunError | None = None,
        outputs: Sequence[tuple[PlannedOutput, End]] = (),
    ) -> RecordedRun:
        """Make outputs and then the run final, in one commit."""
        run = self._plan.run_id
        return await self._end(lambda: self._recorder.finalize_run(run, state, error, outputs))


def _explanation(draft: EntityDraft, no: Verdict, metadata: Mapping[str, str]) -> EntityDraft:
    return replace(
        draft,
        upload_id=f"{draft.upload_id}-explanation",
        type="explanation",
        data=explanation_document(draft.stage, no),
        audience="student",
        metadata=metadata,
        models=(no.used,),
    )
