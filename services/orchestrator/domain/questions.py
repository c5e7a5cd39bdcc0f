"""What a run asks a person, and what came back: the entities `question` and `decision`. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from services.kit.errors import InvalidArgument, PermissionDenied
from services.orchestrator.domain.fields import Fields
from services.orchestrator.domain.run import EntityDraft, RecordedEntity

QuestionKind = Literal["approve", "edit"]
Who = Literal["person", "teacher"]
OnTimeout = Literal["approve", "reject", "fail"]
Said = Literal["approve", "edit", "reject", "nothing"]
By = Literal["person", "teacher", "deadline"]

KINDS: tuple[QuestionKind, ...] = ("approve", "edit")
WHO: tuple[Who, ...] = ("person", "teacher")
DEFAULTS: tuple[OnTimeout, ...] = ("approve", "reject", "fail")
SAYINGS: tuple[Said, ...] = ("approve", "edit", "reject", "nothing")
DECIDERS: tuple[By, ...] = ("person", "teacher", "deadline")

# In the metadata of a decision, and of the check of an edited text: the question it is about.
QUESTION = "question"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        step: id of the step that asks.
        kind: `approve` for yes or no; `edit` when the text may be changed as well.
        who: `teacher` when only a teacher may answer; else the person, or a teacher.
        text: what is shown; empty when it is about an entity.
        sequence: the entity it is about; 0 when it is about the text.
        output_index: the output it is about, from 1; 0 for the whole run.
        deadline: when the default counts instead of an answer.
        on_timeout: that default.
    """

    step: str
    kind: QuestionKind
    who: Who
    text: str
    sequence: int
    output_index: int
    deadline: datetime
    on_timeout: OnTimeout


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided; `text` only with `edit`, `nothing` when nobody answered in time."""

    question: int
    said: Said
    text: str
    by: By

    def is_same(self, other: Decision) -> bool:
        """Whether both say the same, whoever said it."""
        return (self.said, self.text) == (other.said, other.text)


def question_document(question: Question) -> bytes:
    """Return the JSON of a question entity."""
    about = {"sequence": question.sequence} if question.sequence else {"text": question.text}
    return _json(
        {
            "step": question.step,
            "kind": question.kind,
            "who": question.who,
            **about,
            "output_index": question.output_index,
            "deadline": question.deadline.isoformat(),
            "on_timeout": question.on_timeout,
        }
    )


def question_of(document: bytes) -> Question:
    """Return what is asked. Raises DataLoss RECORD_NOT_UNDERSTOOD."""
    told = Fields.parse(document, "question")
    question = Question(
        step=told.text("step"),
        kind=told.word("kind", KINDS),
        who=told.word("who", WHO),
        text=told.text("text") if "text" in told else "",
        sequence=told.integer("sequence") if "sequence" in told else 0,
        output_index=told.integer("output_index"),
        deadline=told.time("deadline"),
        on_timeout=told.word("on_timeout", DEFAULTS),
    )
    told.nothing_else()
    return question


def decision_document(decision: Decision) -> bytes:
    """Return the JSON of a decision entity."""
    edited = {"text": decision.text} if decision.said == "edit" else {}
    return _json(
        {"question": decision.question, "decision": decision.said, **edited, "by": decision.by}
    )


def decision_of(document: bytes) -> Decision:
    """Return what was decided. Raises DataLoss RECORD_NOT_UNDERSTOOD."""
    told = Fields.parse(document, "decision")
    said = told.word("decision", SAYINGS)
    decision = Decision(
        question=told.integer("question"),
        said=said,
        text=told.text("text") if said == "edit" else "",
        by=told.word("by", DECIDERS),
    )
    told.nothing_else()
    return decision


def decision_draft(
    decision: Decision, question: Question, *, stage: int, now: datetime, decided_by: str = ""
) -> EntityDraft:
    """Return the entity that answers a question.

    One question has one decision: the recorder refuses what comes second, because of the upload's
    name. `decided_by` is a pseudonym, empty for nobody.
    """
    return EntityDraft(
        upload_id=f"decision-{decision.question}",
        type="decision",
        data=decision_document(decision),
        stage=stage,
        audience="student",
        started=now,
        duration=timedelta(0),
        output_index=question.output_index,
        metadata={
            QUESTION: str(decision.question),
            "decision": decision.said,
            **({"decided_by": decided_by} if decided_by else {}),
        },
    )


def require_may_answer(question: Question, owner: str, user_id: str, *, is_teacher: bool) -> None:
    """Raise PermissionDenied DECISION_NOT_YOURS unless this person may answer the question.

    A teacher may answer everything; anybody else only what the person of the run is asked, and
    only that person.
    """
    if is_teacher:
        return
    if question.who == "teacher":
        raise PermissionDenied("DECISION_NOT_YOURS", "only a teacher may answer this question")
    if user_id != owner:
        raise PermissionDenied("DECISION_NOT_YOURS", "only the person of the run may answer this")


def require_fits(question: Question, said: Said) -> None:
    """Raise InvalidArgument TEXT_NOT_EXPECTED for an edit of what is only to be approved."""
    if said == "edit" and question.kind != "edit":
        raise InvalidArgument(
            "TEXT_NOT_EXPECTED", "this question takes a yes or a no", field="decision"
        )


def decision_on(entities: Sequence[RecordedEntity], question: int) -> RecordedEntity | None:
    """The entity that answers a question; None while it is open."""
    for entity in entities:
        if entity.type == "decision" and entity.metadata.get(QUESTION) == str(question):
            return entity
    return None


def _json(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"
