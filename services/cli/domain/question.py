"""What a run asks a person, from its recorded document, and how it is told. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

DECISIONS = ("approve", "edit", "reject")


@dataclass(frozen=True, slots=True)
class Question:
    """An open question.

    Attributes:
        sequence: by which it is answered.
        may_edit: whether the text may be changed, or only approved or rejected.
        for_teacher: whether only a teacher may answer.
        text: what it is about; empty when it is about an entity.
        about: sequence of the entity it is about; 0 when it is about the text.
        output_index: the output it is about, from 1; 0 for the run.
        deadline: ISO 8601; empty when none is told.
        on_timeout: what counts then: approve, reject or fail.
    """

    sequence: int
    may_edit: bool
    for_teacher: bool
    text: str
    about: int
    output_index: int
    deadline: str
    on_timeout: str

    @property
    def headline(self) -> str:
        """What is asked, in a few words, without the text itself."""
        what = f"entity {self.about}" if self.about else "the text it came to"
        of = f" of output {self.output_index}" if self.output_index else ""
        who = "a teacher" if self.for_teacher else "you"
        return f"question {self.sequence}: the run waits for {who} to look at {what}{of}"

    @property
    def choices(self) -> str:
        """What may be answered, for people."""
        return "approve, edit or reject" if self.may_edit else "approve or reject"

    @property
    def otherwise(self) -> str:
        """What happens without an answer; empty when that is not told."""
        outcomes = {"approve": "it goes on", "reject": "it does not go on", "fail": "it fails"}
        if not self.deadline or self.on_timeout not in outcomes:
            return ""
        return f"without an answer by {_local_time(self.deadline)} {outcomes[self.on_timeout]}"


def question_of(sequence: int, document: Mapping[str, object]) -> Question:
    """Return the question a document asks; what is missing or odd in it is left out."""

    def text(name: str) -> str:
        value = document.get(name)
        return value if isinstance(value, str) else ""

    def number(name: str) -> int:
        value = document.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    return Question(
        sequence=sequence,
        may_edit=text("kind") == "edit",
        for_teacher=text("who") == "teacher",
        text=text("text"),
        about=number("sequence"),
        output_index=number("output_index"),
        deadline=text("deadline"),
        on_timeout=text("on_timeout"),
    )


def decide_command(question: Question, run_id: str, options: Mapping[str, str]) -> str:
    """The command that answers, e.g. ``artlab decide 528e… 5 approve``; other words beside it."""
    more = "".join(f" {name} {shlex.quote(value)}" for name, value in options.items() if value)
    others = 'edit --text "…" or reject' if question.may_edit else "reject"
    return f"artlab decide {run_id} {question.sequence} approve{more}   (or {others})"


def _local_time(text: str) -> str:
    # With the day: most questions wait for one.
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return text
