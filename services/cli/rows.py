"""What happens in a run as rows of a label and a few words; the screens lay them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.text import Text

from services.cli.domain.printable import printable
from services.cli.domain.question import question_of
from services.cli.domain.result import SeenEntity, describe_error
from services.cli.domain.run_view import Event, OutputView, RunView

# "interception_pass 10" and what stands before it.
LABEL_WIDTH = 24
_STATE_STYLES = {"succeeded": "green", "partial": "yellow", "blocked": "magenta"}
_CHECKS = frozenset(
    {"safety", "safety_pre_output", "safety_output", "safety_image", "preview_safety"}
)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to show; a headline has no label."""

    label: str
    content: Text


def fact_row(view: RunView, event: Event) -> Row | None:
    """Return a stage or an output's end as a row that stays; None for everything else."""
    if event.kind == "stage_started":
        where = f"  output {index}" if (index := event.number("output_index")) else ""
        line = f"stage {event.number('stage')}  {printable(event.text('step'))}{where}"
        return Row("", Text(line, style="bold"))
    if event.kind == "output_finished":
        output = view.output(event.number("index"))
        reason = describe_error(event.data.get("reason"))
        words = f"{output.config}  {output.status}" + (f"  {reason}" if reason else "")
        style = _STATE_STYLES.get(output.status, "red")
        return Row(f"output {output.index}", Text(printable(words), style=style))
    return None


def entity_row(entity: SeenEntity) -> Row:
    """Return an entity as a row: a text in full, a decision, or a file's name and size."""
    label = entity.type + (f" {entity.pass_number}" if entity.pass_number else "")
    document = entity.document
    if document is not None and entity.type in _CHECKS:
        return Row(label, _decision(document))
    if document is not None and entity.type == "explanation":
        words = f"{document.get('explanation', '')} {document.get('suggestion', '')}".strip()
        return Row(label, Text(printable(words), style="magenta"))
    if document is not None and entity.type == "error":
        what = f"{document.get('type', '')}: {document.get('message', '')}"
        details = document.get("details")
        if isinstance(details, dict) and (advice := details.get("advice")):
            what += f"; what helps: {advice}"
        return Row(label, Text(printable(what), style="red"))
    if document is not None and entity.type == "question":
        # Not its text: who is asked is shown it once more, with what may be answered.
        question = question_of(entity.sequence, document)
        who = "a teacher" if question.for_teacher else "you"
        return Row(label, Text(f"{question.sequence}, for {who}: {question.choices}", style="cyan"))
    if document is not None and entity.type == "decision":
        words = f"{document.get('decision', '')} by {document.get('by', '')}"
        edited = f": {document['text']}" if document.get("text") else ""
        return Row(label, Text(printable(words + edited), style="cyan"))
    if entity.content:
        return Row(label, Text(printable(entity.content.strip())))
    size = f"{entity.filename}  {entity.media_type}  {format_size(entity.size_bytes)}"
    return Row(label, Text(printable(size)))


def waiting_words(view: RunView) -> str:
    """What a run waits for: a person, its turn, a model, or to begin; empty when it is in work."""
    if view.open_questions:
        numbers = ", ".join(map(str, sorted(view.open_questions)))
        return f"waiting for a person to answer question {numbers}"
    if view.writing_position:
        return f"waiting for the model, number {view.writing_position} in line"
    if view.has_begun:
        return ""
    if not view.ahead:
        return "waiting for the run to begin"
    words = f"in the queue, {view.ahead} {'run' if view.ahead == 1 else 'runs'} before it"
    if view.wait_seconds is not None:
        words += f", about {view.wait_seconds:.0f} s"
    return words


def progress_words(output: OutputView) -> str:
    """Where a rendering stands: ``50% executing, about 4 s left``."""
    words = f"{output.fraction:4.0%} {printable(output.phase)}"
    if output.queue_position:
        words += f", {output.queue_position} ahead in the queue"
    if output.remaining_seconds is not None:
        words += f", about {output.remaining_seconds:.0f} s left"
    return words


def format_size(size_bytes: int) -> str:
    """The size for people: ``812 B``, ``1.2 MiB``."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _decision(document: Mapping[str, object]) -> Text:
    if document.get("decision") == "safe":
        return Text("safe", style="green")
    words = f"{document.get('decision', '')} by {document.get('rule', '')}"
    return Text(printable(words), style="magenta")
