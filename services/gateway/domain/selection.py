"""Which recorded thing a client means, and whether it may have its bytes. Pure."""

from __future__ import annotations

from services.gateway.domain.run import Entity, Run
from services.kit.errors import FailedPrecondition, NotFound

# The entity types of docs/http-api.md; a name outside of them is a typo, not a missing thing.
ENTITY_TYPES = frozenset(
    {
        "input",
        "input_image",
        "context",
        "translation",
        "safety",
        "interception_pass",
        "interception",
        "media_prompt",
        "safety_pre_output",
        "output_image",
        "output_audio",
        "output_music",
        "output_video",
        "output_code",
        "output_text",
        "preview_safety",
        "safety_output",
        "safety_image",
        "explanation",
        "error",
        "legacy_metadata",
        "question",
        "decision",
        "step_output",
    }
)


# What models and persons wrote on the way to an output, and what repeats it.
_WRITTEN = frozenset(
    {
        "translation",
        "interception_pass",
        "interception",
        "media_prompt",
        "question",
        "decision",
        "step_output",
    }
)


def is_released(run: Run, entity: Entity, *, is_teacher: bool = False) -> bool:
    """Whether the bytes may leave.

    Those of an output only once it has succeeded: until then its checks are not all made, and
    blocked bytes stay where they are. A teacher who is asked about it gets it before: a question
    about an output comes after its checks. Those of a text that was written on the way until a
    check says no to what it became.
    """
    states = {output.index: output.state for output in run.outputs}
    if entity.type.startswith("output_"):
        succeeded = states.get(entity.output_index) == "succeeded"
        return succeeded or (is_teacher and _is_asked_about(run, entity))
    return entity.type not in _WRITTEN or not _text_blocked(run)


def _is_asked_about(run: Run, entity: Entity) -> bool:
    return any(
        question.type == "question"
        and question.sequence in run.open_questions
        and question.output_index == entity.output_index
        and question.sequence > entity.sequence
        for question in run.entities
    )


def _text_blocked(run: Run) -> bool:
    states = [output.state for output in run.outputs]
    as_text = any(output.kind == "text" and output.state == "blocked" for output in run.outputs)
    return run.state == "blocked" or as_text or ("blocked" in states and "succeeded" not in states)


def by_sequence(run: Run, sequence: int, *, is_teacher: bool = False) -> Entity:
    """Return one entity.

    Raises NotFound ENTITY_NOT_FOUND or ENTITY_WITHHELD, FailedPrecondition ENTITY_ERASED.
    """
    for entity in run.entities:
        if entity.sequence == sequence:
            return _released(run, entity, is_teacher)
    raise NotFound("ENTITY_NOT_FOUND", "this run has no entity with this sequence")


def latest(
    run: Run,
    entity_type: str,
    output_index: int | None,
    pass_number: int | None,
    *,
    is_teacher: bool = False,
) -> Entity:
    """Return the newest committed entity that matches; None matches everything.

    What is withheld or erased never hides what is older and is not. Raises NotFound
    UNKNOWN_ENTITY_TYPE, ENTITY_NOT_FOUND or ENTITY_WITHHELD, FailedPrecondition ENTITY_ERASED.
    """
    if entity_type not in ENTITY_TYPES:
        raise NotFound("UNKNOWN_ENTITY_TYPE", "there is no such type of entity")
    found = [
        entity
        for entity in run.entities
        if entity.type == entity_type
        and output_index in (None, entity.output_index)
        and pass_number in (None, entity.pass_number)
    ]
    if not found:
        raise NotFound("ENTITY_NOT_FOUND", "this run has no such entity, or not yet")
    released = [entity for entity in found if is_released(run, entity, is_teacher=is_teacher)]
    there = [entity for entity in released if not entity.is_erased]
    newest = max(there or released or found, key=lambda entity: entity.sequence)
    return _released(run, newest, is_teacher)


def _released(run: Run, entity: Entity, is_teacher: bool) -> Entity:
    if not is_released(run, entity, is_teacher=is_teacher):
        raise NotFound("ENTITY_WITHHELD", "this output is not released: unchecked or blocked")
    if entity.is_erased:
        raise FailedPrecondition("ENTITY_ERASED", "its bytes were erased; the record says why")
    return entity
