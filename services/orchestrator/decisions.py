"""Answers of people to the questions runs wait with: recorded first, then the run goes on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.kit.clock import Clock
from services.kit.errors import AlreadyExists, FailedPrecondition, NotFound
from services.kit.ids import RunId
from services.kit.log import facts, run_logged
from services.orchestrator.domain.questions import (
    Decision,
    Question,
    Said,
    decision_draft,
    decision_of,
    decision_on,
    question_of,
    require_fits,
    require_may_answer,
)
from services.orchestrator.domain.run import RecordedEntity, RecordedRun
from services.orchestrator.ports import Recorder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody says to a question; parsed, not yet compared with the question."""

    run_id: RunId
    question: int
    said: Said
    text: str
    user_id: str
    is_teacher: bool


# Has a parked run of a person driven now, also before the delay of its parking is over; nothing
# when somebody drives it. Raises ArtlabError when that can be told to nobody.
Wake = Callable[[RunId, str], Awaitable[None]]


class Decisions:
    """Takes answers, each question's first one only."""

    def __init__(self, recorder: Recorder, wake: Wake, clock: Clock) -> None:
        self._recorder = recorder
        self._wake = wake
        self._clock = clock

    async def take(self, answer: Answer) -> None:
        """Record an answer and have the run go on; the same answer again changes nothing.

        Raises NotFound RUN_NOT_FOUND or QUESTION_NOT_FOUND, PermissionDenied DECISION_NOT_YOURS,
        InvalidArgument TEXT_NOT_EXPECTED, AlreadyExists ALREADY_DECIDED, FailedPrecondition
        RUN_FINAL. After Unavailable the answer may be recorded: it is to be given again.
        """
        run = await self._recorder.get_run(answer.run_id)
        entity = _asked(run, answer.question)
        question = question_of(await self._bytes(run.run_id, entity))
        require_may_answer(question, run.user_id, answer.user_id, is_teacher=answer.is_teacher)
        require_fits(question, answer.said)
        decision = Decision(
            question=answer.question,
            said=answer.said,
            text=answer.text,
            by="teacher" if answer.is_teacher else "person",
        )
        if await self._is_known(run, decision):
            # Nobody is woken by saying it again: the recorder has put the run in line with it, and
            # whoever drives a run for nothing brings it closer to being given up.
            return
        if run.is_final:
            raise FailedPrecondition("RUN_FINAL", "the run has ended; there is nothing to say")
        await self._record(run.run_id, entity, question, decision, answer.user_id)
        with run_logged(str(run.run_id)):
            log.info("decided", extra=facts(question=answer.question, decision=answer.said))
        await self._wake(run.run_id, run.user_id)

    async def _is_known(self, run: RecordedRun, decision: Decision) -> bool:
        entity = decision_on(run.entities, decision.question)
        if entity is None:
            return False
        if not decision_of(await self._bytes(run.run_id, entity)).is_same(decision):
            raise AlreadyExists("ALREADY_DECIDED", "this question has another answer")
        return True

    async def _record(
        self,
        run_id: RunId,
        asked: RecordedEntity,
        question: Question,
        decision: Decision,
        user_id: str,
    ) -> None:
        draft = decision_draft(
            decision, question, stage=asked.stage, now=self._clock.now(), decided_by=user_id
        )
        try:
            await self._recorder.record(run_id, draft)
        except AlreadyExists:
            # Somebody else was faster, or the time was over just now.
            if not await self._is_known(await self._recorder.get_run(run_id), decision):
                raise

    async def _bytes(self, run_id: RunId, entity: RecordedEntity) -> bytes:
        chunks = [chunk async for chunk in self._recorder.read(run_id, entity.sequence)]
        return b"".join(chunks)


def _asked(run: RecordedRun, sequence: int) -> RecordedEntity:
    for entity in run.entities:
        if entity.sequence == sequence and entity.type == "question":
            return entity
    raise NotFound("QUESTION_NOT_FOUND", "the run asked no such question", field="question")
