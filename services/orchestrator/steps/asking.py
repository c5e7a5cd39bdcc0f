"""One question while it is asked: its entities, its deadline, and the check of an edited text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from services.kit.errors import AlreadyExists, DeadlineExceeded, Internal, InvalidArgument
from services.orchestrator.domain.question_config import question_config
from services.orchestrator.domain.questions import (
    QUESTION,
    Decision,
    Question,
    Said,
    decision_draft,
    decision_of,
    decision_on,
    question_document,
)
from services.orchestrator.domain.run import (
    EntityDraft,
    ModelUse,
    RecordedEntity,
    Verdict,
)
from services.orchestrator.engine.step import JsonObject, StepBlocked, StepScope, StepWaits
from services.orchestrator.patience import patiently, recorder_may_recover
from services.orchestrator.record import ITERATION, STEP
from services.orchestrator.run_in_work import Blocked, RunInWork
from services.orchestrator.steps.passes import seam
from services.orchestrator.steps.place import upload_word

T = TypeVar("T")

REJECTED = "rejected by a person"
UNANSWERED = "nobody answered in time"
_EXPLAINED = {
    "de": ("Hier hat jemand Nein gesagt.", "Frag nach, warum, und versuch es anders."),
    "en": ("Somebody said no to this.", "Ask why, and try it another way."),
}
_SILENCE: dict[str, Said] = {"approve": "approve", "reject": "reject", "fail": "nothing"}


class Asking:
    """One question of one run, by the step and round that ask it and the output it is about."""

    def __init__(self, run: RunInWork, scope: StepScope) -> None:
        self.run = run
        self._scope = scope
        self._index = scope.output_index
        # Always marked, whatever the step is called: its check is none of stage 2's own.
        self._marks = {STEP: scope.step, ITERATION: str(scope.iteration)}
        where = f"-output-{self._index}" if self._index else ""
        self._suffix = f"-{upload_word(scope.step)}-{scope.iteration}{where}"

    def recorded(self) -> RecordedEntity | None:
        """The question, when it was asked before."""
        return self.run.record.find("question", output_index=self._index, marks=self._marks)

    def evidence(self) -> RecordedEntity | None:
        """The check of the edited text, when it was made before."""
        return self.run.record.find("safety", output_index=self._index, marks=self._marks)

    async def ask(self, text: str, sequence: int) -> RecordedEntity:
        """Record the question. Raises InvalidArgument STEP_INPUT_INVALID."""
        config = question_config(self._scope.config, self._scope.step)
        made = await self._made() if self._index else []
        if not text and not sequence and made:
            sequence = made[0].sequence
        if not text and not sequence:
            raise InvalidArgument(
                "STEP_INPUT_INVALID",
                f"{self._scope.step} asks about a text or an entity",
                field=f"steps.{self._scope.step}.inputs",
            )
        if config.kind == "edit" and not text:
            raise InvalidArgument(
                "STEP_INPUT_INVALID",
                f"{self._scope.step} has no text to edit",
                field=f"steps.{self._scope.step}.inputs.text",
            )
        run, now = self.run, self.run.clock.now()
        await run.journal.stage(self._stage(), self._scope.step, self._index)
        question = Question(
            step=self._scope.step,
            kind=config.kind,
            who=config.who,
            text="" if sequence else text,
            sequence=sequence,
            output_index=self._index,
            deadline=now + timedelta(seconds=config.seconds),
            on_timeout=config.on_timeout,
        )
        draft = EntityDraft(
            upload_id=f"question{self._suffix}",
            type="question",
            data=question_document(question),
            stage=self._stage(),
            audience="student",
            started=now,
            duration=timedelta(0),
            output_index=self._index,
            metadata=self._marks,
        )
        try:
            return await self._record(draft)
        except AlreadyExists:
            # An earlier try asked, and its answer was lost: that question's deadline counts.
            await self._run_now()
            asked = self.recorded()
            if asked is None:
                raise
            return asked

    async def decided(self, entity: RecordedEntity, question: Question) -> Decision:
        """Return the answer, or what counts instead now that time is over. Raises StepWaits."""
        known = await self._known(entity.sequence)
        if known is not None:
            return known
        left = (question.deadline - self.run.clock.now()).total_seconds()
        if left > 0:
            self.run.awaited[entity.sequence] = self.run.clock.monotonic() + left
            raise StepWaits(entity.sequence, left)
        silence = Decision(entity.sequence, _SILENCE[question.on_timeout], "", "deadline")
        draft = decision_draft(silence, question, stage=entity.stage, now=self.run.clock.now())
        try:
            await self._record(draft)
        except AlreadyExists:
            # Somebody answered just now.
            known = await self._known(entity.sequence)
            if known is None:
                raise Internal("RECORDER_PROTOCOL", "an answer is there and is not") from None
            return known
        return silence

    async def check(self, entity: RecordedEntity, text: str) -> None:
        """Have an edited text judged like one that a pass hands on. Raises Blocked for a no."""
        evidence = self.evidence()
        if evidence is not None:
            await self.raise_recorded_no(evidence)
            self.mark_checked(text)
            return
        run, context = self.run, self.run.plan.request.context
        began, verdicts = run.journal.begin(), list[Verdict]()
        blocked: Blocked | None = None
        try:
            await run.check(entity.stage, verdicts, "interception", text)
            if context:
                await run.check(entity.stage, verdicts, "context", seam(context, text))
        except Blocked as no:
            blocked = no
        await run.journal.verdicts(
            f"safety{self._suffix}",
            "safety",
            verdicts,
            began,
            stage=entity.stage,
            output_index=self._index,
            metadata={**self._marks, QUESTION: str(entity.sequence)},
        )
        if blocked is not None:
            raise blocked
        self.mark_checked(text)

    def mark_checked(self, text: str) -> None:
        """Say that an edited text was found safe, also where it meets the person's own rules."""
        context = self.run.plan.request.context
        self.run.mark_checked(text, *([seam(context, text)] if context else []))

    async def raise_recorded_no(self, evidence: RecordedEntity) -> None:
        """Raise Blocked when the check of the edited text said no before."""
        no = await self.run.record.refusal(evidence)
        if no is None:
            return
        await self.run.journal.explain(
            f"safety{self._suffix}",
            no,
            stage=evidence.stage,
            output_index=self._index,
            metadata=evidence.metadata,
            attempt=evidence.attempt,
        )
        raise Blocked(evidence.stage, no)

    async def outcome(self, entity: RecordedEntity, decision: Decision, text: str) -> JsonObject:
        """Return what the step gives. Raises StepBlocked or DeadlineExceeded."""
        match decision.said:
            case "approve":
                return {"decision": "approved", "text": text}
            case "edit":
                return {"decision": "edited", "text": decision.text}
            case "nothing":
                raise DeadlineExceeded("QUESTION_NOT_ANSWERED", f"{UNANSWERED}: {self._scope.step}")
            case "reject":
                rule = UNANSWERED if decision.by == "deadline" else REJECTED
                await self._explain(entity, rule)
                raise StepBlocked(rule, entity.stage, {"decision": "rejected", "rule": rule})

    async def _explain(self, entity: RecordedEntity, rule: str) -> None:
        await self.run.know_language()
        language = "de" if self.run.language.startswith("de") else "en"
        explanation, suggestion = _EXPLAINED[language]
        no = Verdict(
            safe=False,
            purpose="interception",
            rule=rule,
            codes=(),
            checks=(),
            terms=(),
            explanation=explanation,
            suggestion=suggestion,
            language=language,
            used=ModelUse("decision", "person"),
        )
        await self.run.journal.explain(
            f"question{self._suffix}",
            no,
            stage=entity.stage,
            output_index=self._index,
            metadata={**self._marks, QUESTION: str(entity.sequence)},
        )

    async def _known(self, sequence: int) -> Decision | None:
        # Not what was there when driving began: it may have come since.
        entity = decision_on(await self._run_now(), sequence)
        if entity is None:
            return None
        return decision_of(await self.run.record.bytes(entity))

    async def _made(self) -> list[RecordedEntity]:
        # Media records what it makes; it is not known here before one asks.
        await self._run_now()
        return self.run.record.made(self._index)

    async def _run_now(self) -> Sequence[RecordedEntity]:
        run = self.run
        recorded = await self._patiently(lambda: run.services.recorder.get_run(run.plan.run_id))
        for entity in recorded.entities:
            run.record.add(entity)
        return recorded.entities

    async def _record(self, draft: EntityDraft) -> RecordedEntity:
        run = self.run
        entity = await self._patiently(lambda: run.services.recorder.record(run.plan.run_id, draft))
        run.record.add(entity)
        return entity

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        run = self.run
        return await patiently(
            call, run.services.recorder_patience_seconds, run.clock, recorder_may_recover
        )

    def _stage(self) -> int:
        if self._index:
            return 4 if self.run.record.made(self._index) else 3
        # A text that was taken over, or found recorded, was made in stage 2 whoever goes on.
        least = 2 if self.run.record.every("interception", 0) else 1
        return max(least, self.run.journal.stage_now)
