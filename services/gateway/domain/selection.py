"""Which recorded thing a client means, and whether it may have its bytes. Pure."""

from __future__ import annotations

from services.gateway.domain.run import Entity, Run
from services.kit.errors import NotFound

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
        "error",
    }
)


def is_released(run: Run, entity: Entity) -> bool:
    """Whether the bytes may leave: those of an output only once the output has succeeded.

    Until then its checks are not all made; afterwards, blocked bytes stay where they are.
    """
    if not entity.type.startswith("output_"):
        return True
    states = {output.index: output.state for output in run.outputs}
    return states.get(entity.output_index) == "succeeded"


def by_sequence(run: Run, sequence: int) -> Entity:
    """Return one entity. Raises NotFound ENTITY_NOT_FOUND or ENTITY_WITHHELD."""
    for entity in run.entities:
        if entity.sequence == sequence:
            return _released(run, entity)
    raise NotFound("ENTITY_NOT_FOUND", "this run has no entity with this sequence")


def latest(run: Run, entity_type: str, output_index: int | None, pass_number: int | None) -> Entity:
    """Return the newest committed entity that matches; None matches everything.

    An output that is withheld never hides an older one that is not. Raises NotFound
    UNKNOWN_ENTITY_TYPE, ENTITY_NOT_FOUND or ENTITY_WITHHELD.
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
    released = [entity for entity in found if is_released(run, entity)]
    return _released(run, max(released or found, key=lambda entity: entity.sequence))


def _released(run: Run, entity: Entity) -> Entity:
    if not is_released(run, entity):
        raise NotFound("ENTITY_WITHHELD", "this output is not released: unchecked or blocked")
    return entity
