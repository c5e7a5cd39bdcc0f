"""Run folders as a recorder leaves them, made fast: many of them, for lists and starts."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.kit.ids import RunId
from services.recorder.domain.entity import EntityDraft, ModelUse
from services.recorder.domain.outcome import Output, RunError
from services.recorder.domain.plan import Plan
from services.recorder.domain.run import Run
from services.recorder.domain.vocabulary import (
    Audience,
    EntityType,
    ExecutionMode,
    MediaKind,
    RunState,
    SafetyLevel,
)
from services.recorder.store.codec import RunEncoder

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
CONFIGS = ("dada", "bauhaus", "overdrive", "haiku", "recursive")
USERS = 100
_ENDS = (RunState.FAILED, RunState.BLOCKED, RunState.CANCELLED)
_KINDS = (MediaKind.IMAGE, MediaKind.AUDIO, MediaKind.TEXT)
_NAMESPACE = uuid.UUID("528e5af9-59b3-4551-b101-27e13dd6e43e")


def run_id_of(number: int) -> RunId:
    """The id of the number-th run; ids are in no order."""
    return RunId(str(uuid.uuid5(_NAMESPACE, str(number))))


def input_of(number: int) -> str:
    """What was typed for the number-th run."""
    return f"Eine Blume auf der Wiese, Nummer {number}, erzählt von Ännchen"


def finished_run(number: int) -> Run:
    """The number-th run, a second after the one before, ended after number % 5000 ms."""
    created = FIRST + timedelta(seconds=number)
    plan = Plan(
        config_name=CONFIGS[number % len(CONFIGS)],
        safety_level=list(SafetyLevel)[number % 4],
        user_id=f"user-{number % USERS}",
        deadline=None,
        outputs=(Output(1, "builtin", 1, _KINDS[number % len(_KINDS)]),),
        expected_entities=(EntityType.INPUT, EntityType.TRANSLATION),
        execution_mode=ExecutionMode.ECO,
        seed=number,
    )
    run = Run.create(run_id_of(number), plan, created, created + timedelta(hours=1))
    run = run.at(1, "translation_and_safety", 0, created)
    texts = ((EntityType.INPUT, input_of(number)), (EntityType.TRANSLATION, "A flower"))
    for entity_type, text in texts:
        data = text.encode()
        entity = run.next_entity(
            _draft(entity_type),
            entity_type.value,
            media_type="text/plain",
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            now=created,
        )
        run = run.with_entity(entity)
    state = _ENDS[number % len(_ENDS)]
    error = None if state is RunState.CANCELLED else RunError("SOME_REASON", "why", 1, False)
    return run.finalized(state, error, created + timedelta(milliseconds=number % 5000))


def write_runs(root: Path, numbers: range) -> None:
    """Write the folders of these runs; nothing is synced."""
    root.mkdir(exist_ok=True)
    for number in numbers:
        run = finished_run(number)
        folder = root / run.run_id.value
        folder.mkdir()
        (folder / "metadata.json").write_bytes(RunEncoder().encode(run))
        (folder / run.entities[0].filename).write_bytes(input_of(number).encode())
        (folder / run.entities[1].filename).write_bytes(b"A flower")


def _draft(entity_type: EntityType) -> EntityDraft:
    return EntityDraft(
        type=entity_type,
        output_index=0,
        metadata={"language": "de"},
        stage=0,
        pass_number=0,
        started_at=None,
        duration_ms=None,
        attempt=1,
        audience=Audience.STUDENT,
        models_used=(ModelUse("translation", "builtin", "writer-1"),),
    )
