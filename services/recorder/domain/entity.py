"""Entities: the numbered things of a run. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from services.kit.errors import InvalidArgument
from services.recorder.domain.vocabulary import Audience, EntityType

_TYPE_NAMES = frozenset(one.value for one in EntityType)
# Three digits from 100 on, because %02d only pads.
_FILENAME = re.compile(r"([0-9]{2,6})_([a-z_]+)\.([a-z0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What a service reported to have used for a task."""

    task: str
    backend: str
    model: str


@dataclass(frozen=True, slots=True)
class EntityDraft:
    """What is said of an entity by the one who sends its bytes."""

    type: EntityType
    output_index: int
    metadata: Mapping[str, str]
    stage: int
    pass_number: int
    started_at: datetime | None
    duration_ms: int | None
    attempt: int
    audience: Audience
    models_used: tuple[ModelUse, ...]

    def is_same_thing(self, other: EntityDraft) -> bool:
        """Whether both mean one entity; a retry may differ in timing and parameters."""
        return (self.type, self.output_index, self.pass_number) == (
            other.type,
            other.output_index,
            other.pass_number,
        )


@dataclass(frozen=True, slots=True)
class Entity:
    """A committed entity: a draft, its place in the run, and what its bytes are.

    Once they were erased it says what they were.
    """

    draft: EntityDraft
    sequence: int
    filename: str
    created_at: datetime
    media_type: str
    size_bytes: int
    sha256: str
    upload_id: str
    erased_at: datetime | None = None

    @property
    def is_erased(self) -> bool:
        """Whether its bytes are gone."""
        return self.erased_at is not None

    @property
    def type(self) -> EntityType:
        """What it is."""
        return self.draft.type


def parse_entity_type(text: str, field: str) -> EntityType:
    """Return the type of that name. Raises InvalidArgument INVALID_ENTITY_TYPE."""
    try:
        return EntityType(text)
    except ValueError:
        raise InvalidArgument(
            "INVALID_ENTITY_TYPE", "expected one of the known entity types", field=field
        ) from None


def filename_of(sequence: int, entity_type: EntityType, extension: str) -> str:
    """Return ``NN_type.ext``, e.g. ``06_output_image.png``; three digits from 100 on."""
    return f"{sequence:02d}_{entity_type.value}.{extension}"


def is_entity_filename(name: str) -> bool:
    """Whether a file in a run folder has the form of an entity's name."""
    found = _FILENAME.fullmatch(name)
    return found is not None and found[2] in _TYPE_NAMES


def sequence_of(name: str) -> int:
    """Return the sequence in an entity's file name. Raises ValueError for another name."""
    if not is_entity_filename(name):
        raise ValueError(name)
    return int(name.partition("_")[0])
