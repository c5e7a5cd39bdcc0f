"""The predecessor's metadata.json, read into types. Pure.

Its fields are those that our own document kept (docs/run-folder.md). What differs: no status, no
digests, no layout_version; times without a zone; a run id that may be no UUID; ids and levels that
nobody checked.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from services.kit.errors import InvalidArgument
from services.kit.ids import RunId, parse_config_name, parse_pseudonym
from services.recorder.domain.fields import DocumentError, Fields
from services.recorder.domain.vocabulary import ExecutionMode, SafetyLevel

# Names of the levels that had another one. `off` and `open` are left out on purpose: what was not
# checked must not become "research" because a reader guessed so.
KNOWN_LEVELS: Mapping[str, SafetyLevel] = {
    **{level.value: level for level in SafetyLevel},
    "teens": SafetyLevel.YOUTH,
}
# Runs whose id was no UUID get one that is the same at every import.
_NAMESPACE = uuid.UUID("5b1f0c52-9d0e-5c5a-8a53-6d1f3f0f1c77")
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}", re.ASCII)
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class LegacyReading:
    """What a person says about runs whose documents do not say it themselves."""

    # The zone of times that have none; None is the zone of this machine.
    zone: tzinfo | None = None
    # What further names of safety levels mean.
    levels: Mapping[str, SafetyLevel] | None = None


@dataclass(frozen=True, slots=True)
class LegacyEntity:
    """One entity, its file name a plain name."""

    sequence: int
    type: str
    filename: str
    created_at: datetime
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LegacyDocument:
    """One run of the predecessor."""

    original_id: str
    run_id: RunId
    created_at: datetime
    config_name: str
    execution_mode: ExecutionMode
    safety_level: SafetyLevel
    user_id: str
    stage: int
    step: str
    expected: tuple[str, ...]
    entities: tuple[LegacyEntity, ...]


def read_legacy(data: bytes, reading: LegacyReading) -> LegacyDocument:
    """Return the run of a predecessor's metadata.json. Raises DocumentError with the field."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise DocumentError("not JSON") from None
    fields = Fields(value)
    if fields.has("layout_version"):
        raise DocumentError("layout_version: a run of this system, not of the predecessor")
    original_id = fields.text("run_id")
    state = fields.object("current_state") if fields.has("current_state") else Fields({})
    entities = tuple(_entity(one, reading) for one in fields.objects("entities"))
    ordered = tuple(sorted(entities, key=lambda one: one.sequence))
    if len({one.sequence for one in ordered}) != len(ordered):
        raise fields.wrong("entities", "a sequence number occurs twice")
    return LegacyDocument(
        original_id=original_id,
        run_id=run_id_of(original_id),
        created_at=_time(fields, "timestamp", reading),
        config_name=_config_name(fields),
        execution_mode=fields.word("execution_mode", ExecutionMode),
        safety_level=_level(fields, reading),
        user_id=pseudonym_of(fields.text("user_id") if fields.has("user_id") else "anonymous"),
        stage=min(state.number("stage"), 4) if state.has("stage") else 0,
        step=state.text("step") if state.has("step") else "",
        expected=_expected(fields),
        entities=ordered,
    )


def run_id_of(original_id: str) -> RunId:
    """The id itself when it is a canonical UUID, otherwise one derived from it."""
    try:
        return RunId.parse(original_id)
    except InvalidArgument:
        return RunId(str(uuid.uuid5(_NAMESPACE, original_id)))


def pseudonym_of(user_id: str) -> str:
    """The id itself when it is a pseudonym, otherwise one derived from it: it may be a name."""
    try:
        return parse_pseudonym(user_id)
    except InvalidArgument:
        return f"legacy-{uuid.uuid5(_NAMESPACE, user_id).hex[:16]}"


def _entity(fields: Fields, reading: LegacyReading) -> LegacyEntity:
    entity_type, filename = fields.text("type"), fields.text("filename")
    if _TYPE.fullmatch(entity_type) is None:
        raise fields.wrong("type", "not the name of a type")
    if _FILENAME.fullmatch(filename) is None:
        raise fields.wrong("filename", "not a plain file name")
    metadata = fields.get("metadata") if fields.has("metadata") else {}
    if not isinstance(metadata, dict):
        raise fields.wrong("metadata", "expected an object")
    return LegacyEntity(
        sequence=fields.number("sequence", least=1),
        type=entity_type,
        filename=filename,
        created_at=_time(fields, "timestamp", reading),
        metadata=metadata,
    )


def _time(fields: Fields, key: str, reading: LegacyReading) -> datetime:
    text = fields.text(key)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and reading.zone is not None:
            moment = moment.replace(tzinfo=reading.zone)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise fields.wrong(key, "expected an ISO 8601 time") from None


def _config_name(fields: Fields) -> str:
    text = fields.text("config_name")
    name = re.sub(r"[^a-z0-9_]+", "_", text.lower())[:64]
    try:
        return parse_config_name(name)
    except InvalidArgument:
        raise fields.wrong("config_name", "not the name of a configuration") from None


def _level(fields: Fields, reading: LegacyReading) -> SafetyLevel:
    text = fields.text("safety_level")
    level = {**KNOWN_LEVELS, **(reading.levels or {})}.get(text)
    if level is None:
        raise fields.wrong("safety_level", f"say what it means: --level {text}=LEVEL")
    return level


def _expected(fields: Fields) -> tuple[str, ...]:
    value = fields.get("expected_outputs") if fields.has("expected_outputs") else []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise fields.wrong("expected_outputs", "expected a list of strings")
    return tuple(value)
