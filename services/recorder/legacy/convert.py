"""A run of the predecessor as a run of ours. Pure.

What it says is kept, what it never said is derived by the rules below, and its own metadata.json
becomes the last entity, so that nothing it knew is lost and every derivation can be looked up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from services.recorder.domain.entity import Entity, EntityDraft, ModelUse, filename_of
from services.recorder.domain.media_type import EXTENSIONS
from services.recorder.domain.outcome import Output, RunError
from services.recorder.domain.plan import Plan
from services.recorder.domain.run import Run
from services.recorder.domain.vocabulary import Audience, EntityType, MediaKind, RunState
from services.recorder.legacy.document import LegacyDocument, LegacyEntity

MAX_VALUE_CHARACTERS = 1000
MAX_KEYS = 60
MAX_METADATA_BYTES = 16 * 1024
_KEY = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_CONFIG = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_STEP = re.compile(r"[^a-z0-9_]+")
_LIMIT = timedelta(hours=1)

# Stage and least audience of each type, as this system records them.
_PLACES: Mapping[EntityType, tuple[int, Audience]] = {
    EntityType.INPUT: (0, Audience.STUDENT),
    EntityType.CONTEXT: (0, Audience.STUDENT),
    EntityType.INPUT_IMAGE: (0, Audience.STUDENT),
    EntityType.TRANSLATION: (1, Audience.ADVANCED),
    EntityType.SAFETY: (1, Audience.RESEARCH),
    EntityType.INTERCEPTION_PASS: (2, Audience.ADVANCED),
    EntityType.INTERCEPTION: (2, Audience.STUDENT),
    EntityType.MEDIA_PROMPT: (3, Audience.ADVANCED),
    EntityType.SAFETY_PRE_OUTPUT: (3, Audience.RESEARCH),
}
_BLOCKED = RunError("LEGACY_BLOCKED", "the predecessor recorded that a check said no", 0, False)
_FAILED = RunError("LEGACY_ERROR", "the predecessor recorded an error", 0, False)
_INCOMPLETE = RunError("LEGACY_INCOMPLETE", "the predecessor recorded no end of this run", 0, False)


@dataclass(frozen=True, slots=True)
class LegacyBytes:
    """What an entity's file was found to be."""

    entity: LegacyEntity
    type: EntityType
    media_type: str
    size_bytes: int
    sha256: str
    # The parsed content where it is a JSON object, to read verdicts and errors from.
    said: Mapping[str, Any] | None


def convert(document: LegacyDocument, found: Sequence[LegacyBytes], original: LegacyBytes) -> Run:
    """Return the final run of a document, the bytes of its entities and its own bytes last."""
    end, error = _end(document, found)
    outputs = _outputs(document, found, end)
    last = max([document.created_at, *(one.entity.created_at for one in found)])
    plan = Plan(
        config_name=document.config_name,
        safety_level=document.safety_level,
        user_id=document.user_id,
        deadline=None,
        outputs=tuple(replace(one, state=RunState.PENDING, error=None) for one in outputs),
        expected_entities=_expected(document),
        execution_mode=document.execution_mode,
        seed=_seed(found),
    )
    run = Run.create(document.run_id, plan, document.created_at, last + _LIMIT)
    run = run.at(0, "pipeline_starting", 0, document.created_at)
    index = 0
    for one in [*found, original]:
        index += one.type.is_output
        # A check before an output belongs to the output that follows it.
        belongs = index + (one.type is EntityType.SAFETY_PRE_OUTPUT and index < len(outputs))
        of_output = one.type.is_output or one.type is EntityType.SAFETY_PRE_OUTPUT
        run = run.with_entity(_entity(run, one, belongs if of_output else 0))
        if one.type.is_output:
            run = run.with_final_output(index, RunState.SUCCEEDED, None, one.entity.created_at)
    step = _STEP.sub("_", document.step.lower()).strip("_")[:64]
    run = replace(run, stage=document.stage, step=step if step[:1].isalpha() else "")
    return _ended(run, outputs, end, error, last)


def _ended(
    run: Run, outputs: Sequence[Output], end: RunState, error: RunError | None, now: datetime
) -> Run:
    for one in outputs:
        if one.state is not RunState.SUCCEEDED:
            run = run.with_final_output(one.index, one.state, one.error, now)
    return run.finalized(end, error, now)


def _end(
    document: LegacyDocument, found: Sequence[LegacyBytes]
) -> tuple[RunState, RunError | None]:
    is_blocked = any(_says_blocked(one) for one in found)
    has_error = any(one.type is EntityType.ERROR for one in found)
    made = [one for one in found if one.type.is_output]
    asked = [name for name in document.expected if name.startswith("output_")]
    is_whole = bool(made) or (
        not asked and any(one.type is EntityType.INTERCEPTION for one in found)
    )
    if made and (is_blocked or has_error):
        return RunState.PARTIAL, None
    if is_blocked:
        return RunState.BLOCKED, replace(_BLOCKED, stage=document.stage)
    if has_error:
        return RunState.FAILED, replace(_FAILED, stage=document.stage)
    if is_whole:
        return RunState.SUCCEEDED, None
    return RunState.FAILED, replace(_INCOMPLETE, stage=document.stage)


def _says_blocked(one: LegacyBytes) -> bool:
    said = one.said or {}
    if one.type in (EntityType.SAFETY, EntityType.SAFETY_PRE_OUTPUT):
        return said.get("safe") is False or said.get("blocked") is True
    return one.type is EntityType.ERROR and "block" in str(said.get("error_type", "")).lower()


def _outputs(
    document: LegacyDocument, found: Sequence[LegacyBytes], end: RunState
) -> tuple[Output, ...]:
    kinds = [(_kind(one.type.value), _config(one)) for one in found if one.type.is_output]
    outputs: list[Output] = []
    for kind, config in kinds:
        outputs.append(_output(outputs, config, kind, RunState.SUCCEEDED))
    if end is not RunState.SUCCEEDED:
        missing = _BLOCKED if any(_says_blocked(one) for one in found) else None
        state = RunState.BLOCKED if missing else RunState.FAILED
        has_error = any(one.type is EntityType.ERROR for one in found)
        error = missing or (_FAILED if has_error else _INCOMPLETE)
        error = replace(error, stage=document.stage)
        made = [kind for kind, _ in kinds]
        for kind in [_kind(name) for name in document.expected if _is_output(name)]:
            if kind in made:
                made.remove(kind)
            else:
                outputs.append(_output(outputs, "unknown", kind, state, error))
        if end is RunState.PARTIAL and not any(one.error for one in outputs):
            # Something was refused or failed beside what was made, though no plan names it.
            outputs.append(_output(outputs, "unknown", outputs[-1].kind, state, error))
    return tuple(outputs)


def _output(
    before: Sequence[Output],
    config: str,
    kind: MediaKind,
    state: RunState,
    error: RunError | None = None,
) -> Output:
    occurrence = 1 + sum(1 for one in before if one.config == config)
    return Output(len(before) + 1, config, occurrence, kind, state, error)


def _is_output(name: str) -> bool:
    return name in {one.value for one in EntityType if one.is_output}


def _kind(name: str) -> MediaKind:
    return MediaKind(name.removeprefix("output_"))


def _config(one: LegacyBytes) -> str:
    for key in ("config", "config_name", "output_config"):
        name = one.entity.metadata.get(key)
        if isinstance(name, str) and _CONFIG.fullmatch(name):
            return name
    return "unknown"


def _expected(document: LegacyDocument) -> tuple[EntityType, ...]:
    known = {one.value: one for one in EntityType}
    return tuple(known[name] for name in document.expected if name in known)


def _seed(found: Sequence[LegacyBytes]) -> int:
    for one in found:
        seed = one.entity.metadata.get("seed")
        if type(seed) is int and 0 <= seed < 2**63:
            return seed
    return 0


def _entity(run: Run, one: LegacyBytes, output_index: int) -> Entity:
    stage, audience = _PLACES.get(
        one.type, (4, Audience.STUDENT) if one.type.is_output else (0, Audience.RESEARCH)
    )
    sequence = len(run.entities) + 1
    return Entity(
        draft=EntityDraft(
            type=one.type,
            output_index=output_index,
            metadata=_metadata(one.entity),
            stage=stage,
            pass_number=0,
            started_at=None,
            duration_ms=None,
            attempt=1,
            audience=audience,
            models_used=_models(one.entity, stage),
        ),
        sequence=sequence,
        filename=filename_of(sequence, one.type, EXTENSIONS[one.media_type]),
        created_at=one.entity.created_at,
        media_type=one.media_type,
        size_bytes=one.size_bytes,
        sha256=one.sha256,
        upload_id=f"legacy-{sequence}",
    )


def _metadata(entity: LegacyEntity) -> dict[str, str]:
    """The short facts among an entity's own; all of them stand in the original document."""
    kept = {"legacy_filename": entity.filename, "legacy_sequence": str(entity.sequence)}
    size = 0
    for key, value in sorted(entity.metadata.items()):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        text = _CONTROL.sub(" ", text)
        size += len(key.encode()) + len(text.encode())
        fits = len(text) <= MAX_VALUE_CHARACTERS and size < MAX_METADATA_BYTES - 1024
        if _KEY.fullmatch(key) and key not in kept and fits and len(kept) < MAX_KEYS:
            kept[key] = text
    return dict(sorted(kept.items()))


def _models(entity: LegacyEntity, stage: int) -> tuple[ModelUse, ...]:
    model, backend = entity.metadata.get("model_used"), entity.metadata.get("backend")
    if not isinstance(model, str) and not isinstance(backend, str):
        return ()
    task = ("input", "translation", "interception", "safety", "media")[stage]
    return (ModelUse(task, _short(backend), _short(model)),)


def _short(value: object) -> str:
    return _CONTROL.sub(" ", value)[:200] if isinstance(value, str) else ""
