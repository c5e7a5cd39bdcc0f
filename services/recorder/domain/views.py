"""Who may see what of a run. Pure; the only place with this rule."""

from __future__ import annotations

from dataclasses import replace

from services.recorder.domain.entity import Entity
from services.recorder.domain.run import Run
from services.recorder.domain.vocabulary import Audience

_RANKS = {audience: rank for rank, audience in enumerate(Audience)}


def includes(audience: Audience, other: Audience) -> bool:
    """Whether whoever belongs to `audience` may see what is meant for `other`."""
    return _RANKS[other] <= _RANKS[audience]


def may_see(audience: Audience, entity: Entity) -> bool:
    """Whether this audience may see an entity and its bytes."""
    return includes(audience, entity.draft.audience)


def view(run: Run, audience: Audience) -> Run:
    """The run with only the entities this audience may see; sequences keep their numbers."""
    return replace(run, entities=tuple(one for one in run.entities if may_see(audience, one)))
