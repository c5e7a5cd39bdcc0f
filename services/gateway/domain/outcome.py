"""What a finished run means to the person who asked for it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from services.gateway.domain.run import Entity, Output, Run, client_status
from services.gateway.domain.selection import is_released

# Begins for an output once the check of stage 3 let its text through.
STAGE_MEDIA = 4


@dataclass(frozen=True, slots=True)
class Block:
    """A safety verdict for the person: never the terms, which are evidence for research."""

    stage: int
    rule: str
    explanation: str
    suggestion: str
    language: str = ""
    # A text that could be typed instead.
    alternative: str = ""


@dataclass(frozen=True, slots=True)
class OutputResult:
    """One requested output: its entities when it succeeded, else why there are none."""

    output: Output
    status: str
    # The files of a batch, or of several nodes, in order.
    entities: tuple[Entity, ...] = ()
    block: Block | None = None


def text_entity(run: Run) -> Entity | None:
    """The text a run came to: the interception, else the translation, else None.

    Only a text that was checked and not refused: the interception once stage 3 let it through for
    at least one output, the translation because stage 1 checks it before it is recorded.
    """
    let_through = {output.index for output in run.outputs if output.state != "blocked"}
    checked = any(_got_to_media(output) for output in run.outputs) or any(
        entity.type == "safety_pre_output" and entity.output_index in let_through
        for entity in run.entities
    )
    for wanted in ("interception", "translation") if checked else ("translation",):
        found = [
            e for e in run.entities if e.type == wanted and is_released(run, e) and not e.is_erased
        ]
        if found:
            return max(found, key=lambda entity: entity.sequence)
    return None


def later_decisions(run: Run, text: Entity) -> tuple[Entity, ...]:
    """What people said after the run came to a text, about all of it, newest first.

    One of them may have put another text in its place (`edited_text`).
    """
    found = [
        entity
        for entity in run.entities
        if entity.type == "decision"
        and entity.sequence > text.sequence
        and not entity.output_index
        and is_released(run, entity)
        and not entity.is_erased
    ]
    return tuple(sorted(found, key=lambda entity: -entity.sequence))


def edited_text(document: bytes) -> str | None:
    """Return the text that a decision put in place of another; None when it put none."""
    try:
        parsed = json.loads(document)
    except ValueError:
        return None
    if not isinstance(parsed, dict) or parsed.get("decision") != "edit":
        return None
    text = parsed.get("text")
    return text if isinstance(text, str) else None


def _got_to_media(output: Output) -> bool:
    return output.state == "succeeded" or (
        output.error is not None and output.error.stage == STAGE_MEDIA
    )


def block_entity(run: Run, output: Output | None = None) -> Entity | None:
    """The entity that tells why the run, or one output of it, was blocked.

    The explanation, or the verdict itself where there is none: runs of before had only that.
    """
    if output is not None:
        found = [e for e in run.entities if e.output_index == output.index and _tells(e)]
    else:
        stage = run.error.stage if run.error else 0
        found = [e for e in run.entities if e.stage == stage and _tells(e)]
    return max(found, key=lambda e: (e.type == "explanation", e.sequence), default=None)


def _tells(entity: Entity) -> bool:
    return entity.type == "explanation" or entity.type.startswith("safety")


def read_block(document: bytes, stage: int) -> Block:
    """Return the block that such an entity tells. What does not parse tells nothing."""
    try:
        parsed = json.loads(document)
    except ValueError:
        parsed = None
    fields: Mapping[str, object] = parsed if isinstance(parsed, dict) else {}

    def word(name: str) -> str:
        value = fields.get(name)
        return value if isinstance(value, str) else ""

    return Block(
        stage,
        word("rule"),
        word("explanation"),
        word("suggestion"),
        language=word("language"),
        alternative=word("alternative"),
    )


def output_results(run: Run, blocks: Mapping[int, Block]) -> tuple[OutputResult, ...]:
    """Return one result per requested output, in order; `blocks` by output index."""
    return tuple(_result(run, output, blocks.get(output.index)) for output in run.outputs)


def _result(run: Run, output: Output, block: Block | None) -> OutputResult:
    made = [
        entity
        for entity in run.entities
        if entity.type == f"output_{output.kind}"
        and entity.output_index == output.index
        and not entity.is_erased
        and is_released(run, entity)
    ]
    in_order = tuple(sorted(made, key=lambda entity: entity.sequence))
    return OutputResult(output, client_status(output.state), in_order, block)
