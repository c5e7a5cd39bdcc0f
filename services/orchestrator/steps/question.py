"""A person is asked: a yes before something is shown or made, or to look a text over.

The question is an entity and so is its answer; between the two the run is parked and nobody drives
it. An edited text is no more trusted than any other: it is checked like one that a pass hands on.
What nobody says in time is decided as the pipeline's file says, and recorded as a decision too, so
that an answer that comes late finds the question answered.

A "reject" blocks: somebody judged and said no. To stop what one has begun oneself is to cancel.
"""

from __future__ import annotations

from services.kit.errors import InvalidArgument
from services.orchestrator.domain.question_config import question_config
from services.orchestrator.domain.questions import decision_of, decision_on, question_of
from services.orchestrator.engine.step import JsonObject, StepScope
from services.orchestrator.steps.asking import Asking
from services.orchestrator.steps.place import run_of


class AskPerson:
    """Takes `text`, or the `sequence` of an entity; gives the `decision` and the `text`.

    In the body of `for_each_output`, without either, it asks about what was made.

    `decision` is "approved" or "edited"; `text` is as it came in or as the person changed it.
    """

    TAKES = frozenset({"text", "sequence"})
    GIVES = frozenset({"decision", "text"})

    @staticmethod
    def check_config(config: JsonObject, step: str) -> None:
        """Raise InvalidArgument STEP_CONFIG_INVALID for a question that could not be asked."""
        question_config(config, step)

    async def restore(self, inputs: JsonObject, scope: StepScope) -> JsonObject | None:
        """Return what was decided and checked before. Raises StepBlocked for a recorded no."""
        asking = Asking(run_of(scope), scope)
        entity = asking.recorded()
        if entity is None:
            return None
        decisions = asking.run.record.every("decision", scope.output_index)
        decided = decision_on(decisions, entity.sequence)
        if decided is None:
            return None
        decision = decision_of(await asking.run.record.bytes(decided))
        if decision.said == "edit":
            evidence = asking.evidence()
            if evidence is None:
                return None
            await asking.raise_recorded_no(evidence)
            asking.mark_checked(decision.text)
        return await asking.outcome(entity, decision, _text(inputs))

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Ask, wait, and go on as the person says.

        Raises StepWaits while there is time for an answer, StepBlocked for a no and for a text
        that a check refuses, DeadlineExceeded QUESTION_NOT_ANSWERED.
        """
        asking = Asking(run_of(scope), scope)
        entity = asking.recorded() or await asking.ask(_text(inputs), _sequence(inputs))
        question = question_of(await asking.run.record.bytes(entity))
        decision = await asking.decided(entity, question)
        if decision.said == "edit":
            await asking.check(entity, decision.text)
        return await asking.outcome(entity, decision, _text(inputs))


def _text(inputs: JsonObject) -> str:
    text = inputs.get("text", "")
    if not isinstance(text, str):
        raise InvalidArgument(
            "STEP_INPUT_INVALID", "a question's text is a text", field="inputs.text"
        )
    return text


def _sequence(inputs: JsonObject) -> int:
    sequence = inputs.get("sequence", 0)
    if isinstance(sequence, bool) or not isinstance(sequence, int) or sequence < 0:
        raise InvalidArgument(
            "STEP_INPUT_INVALID", "a question's sequence is a number", field="inputs.sequence"
        )
    return sequence
