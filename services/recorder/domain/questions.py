"""What a run waits for a person to decide. Pure."""

from __future__ import annotations

from services.recorder.domain.run import Run
from services.recorder.domain.vocabulary import EntityType

# In the metadata of a decision: the sequence of the question it answers.
QUESTION_KEY = "question"


def open_questions(run: Run) -> tuple[int, ...]:
    """Return the sequences of questions that no decision has answered; a final run waits no more.

    The first one asked comes first.
    """
    if run.is_final:
        return ()
    asked = [one.sequence for one in run.entities if one.type is EntityType.QUESTION]
    if not asked:
        return ()
    answered = {
        one.draft.metadata.get(QUESTION_KEY)
        for one in run.entities
        if one.type is EntityType.DECISION
    }
    return tuple(sequence for sequence in asked if str(sequence) not in answered)
