"""What one run writes into its record, patiently: a recorder that restarts costs time, no facts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from services.kit.clock import Clock
from services.kit.errors import ArtlabError
from services.orchestrator.domain.documents import (
    blocking,
    error_document,
    explanation_document,
    verdict_document,
)
from services.orchestrator.domain.plan import Plan, PlannedOutput
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
from services.orchestrator.patience import patiently, recorder_may_recover
from services.orchestrator.ports import Recorder

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Began:
    """When the work on an entity began."""

    clock: Clock
    at: float

    def elapsed(self) -> timedelta:
        """How long it has taken so far."""
        return timedelta(seconds=self.clock.monotonic() - self.at)


class Journal:
    """The writing side of one run. Every method may be repeated without harm."""

    def __init__(
        self, plan: Plan, recorder: Recorder, clock: Clock, patience_seconds: float
    ) -> None:
        self._patience = patience_seconds
        self._plan = plan
        self._recorder = recorder
        self._clock = clock

    def begin(self) -> Began:
        """Note that work on an entity begins now."""
        return Began(self._clock, self._clock.monotonic())

    async def stage(self, stage: int, step: str, output_index: int = 0) -> None:
        """Say where the run stands."""
        run = self._plan.run_id
        await self._patiently(lambda: self._recorder.set_progress(run, stage, step, output_index))

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
        metadata: Mapping[str, str] | None = None,
        models: Sequence[ModelUse] = (),
        attempt: int = 1,
    ) -> None:
        """Record a text."""
        await self._record(
            EntityDraft(
                upload_id=upload_id,
                type=entity_type,
                data=text.encode(),
                stage=stage,
                audience=audience,
                started=self._clock.now() - began.elapsed(),
                duration=began.elapsed(),
                pass_number=pass_number,
                metadata=metadata or {},
                models=tuple(models),
                attempt=attempt,
            )
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
    ) -> None:
        """Record what the checks said, and for a no its explanation as an entity of its own.

        The verdict is evidence, for research; the explanation is for the person.
        """
        evidence = EntityDraft(
            upload_id=upload_id,
            type=entity_type,
            data=verdict_document(stage, self._plan.level, verdicts),
            stage=stage,
            audience="research",
            started=self._clock.now() - began.elapsed(),
            duration=began.elapsed(),
            output_index=output_index,
            pass_number=pass_number,
            metadata=metadata or {},
            models=tuple(dict.fromkeys(verdict.used for verdict in verdicts)),
            attempt=max(verdict.attempt for verdict in verdicts),
        )
        await self._record(evidence)
        no = blocking(verdicts)
        if no is not None:
            await self._record(
                replace(
                    evidence,
                    upload_id=f"{upload_id}-explanation",
                    type="explanation",
                    data=explanation_document(stage, no),
                    audience="student",
                    models=(no.used,),
                    attempt=no.attempt,
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

    async def erase(self, sequence: int) -> None:
        """Remove the bytes of an entity that a check has refused."""
        run = self._plan.run_id
        await self._patiently(lambda: self._recorder.erase(run, sequence, "SAFETY_BLOCKED"))

    async def warning(self, output_index: int, warning: RenderWarning) -> None:
        """Record something a person should know."""
        run = self._plan.run_id
        await self._patiently(lambda: self._recorder.warn(run, output_index, warning))

    async def error(
        self, error: ArtlabError, began: Began, *, stage: int, output: PlannedOutput | None = None
    ) -> None:
        """Record what went wrong, so that the folder tells it."""
        details = {"output_config": output.config} if output else {}
        where = f"output-{output.index}-error" if output else f"stage-{stage}-error"
        await self._record(
            EntityDraft(
                upload_id=where,
                type="error",
                data=error_document(stage, error, details),
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
        return await self._patiently(
            lambda: self._recorder.finalize_output(run, output, state, error)
        )

    async def run_final(self, state: FinalState, error: RunError | None = None) -> RecordedRun:
        """Make the run final."""
        run = self._plan.run_id
        return await self._patiently(lambda: self._recorder.finalize_run(run, state, error))

    async def _record(self, draft: EntityDraft) -> RecordedEntity:
        return await self._patiently(lambda: self._recorder.record(self._plan.run_id, draft))

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        return await patiently(call, self._patience, self._clock, recorder_may_recover)
