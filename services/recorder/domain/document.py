"""The shape of metadata.json, version 1: written here, read in `reading`. Pure.

Readers of the predecessor know `run_id` to `entities[].metadata`; those names and meanings stay.
Keys are only ever added; whoever changes one raises LAYOUT_VERSION.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.recorder.domain.entity import Entity, EntityDraft, ModelUse
from services.recorder.domain.events import (
    EntityCommitted,
    EntityErased,
    OutputFinished,
    RunEvent,
    RunWarning,
    StageStarted,
    StateChanged,
)
from services.recorder.domain.outcome import Output, RunError
from services.recorder.domain.run import Run
from services.recorder.domain.upload import UploadRecord

LAYOUT_VERSION = 1
CHECKSUM = "checksum"

Document = dict[str, Any]


def run_document(run: Run, entities: list[Document], events: list[Document]) -> Document:
    """Return metadata.json without its checksum.

    Args:
        run: the run.
        entities: `entity_document` of each of its entities; they grow, so they are kept.
        events: `event_document` of each of its events.

    What few runs have is there only where it says something: lineage, creator, plan.
    """
    document: Document = {
        "layout_version": LAYOUT_VERSION,
        "run_id": run.run_id.value,
        "timestamp": time_text(run.created_at),
        "status": run.state.value,
        "config_name": run.config_name,
        "execution_mode": run.execution_mode.value,
        "safety_level": run.safety_level.value,
        "user_id": run.user_id,
        "seed": run.seed,
        "deadline": time_text(run.deadline),
        "finished_at": None if run.finished_at is None else time_text(run.finished_at),
        "current_state": {
            "stage": run.stage,
            "step": run.step,
            "progress": f"{len(run.entities)}/{len(run.expected_entities)}",
            "output_index": run.output_index,
        },
        "expected_outputs": [one.value for one in run.expected_entities],
        "completed_outputs": [one.type.value for one in run.entities],
        "error": _error(run.error),
        "outputs": [_output(one) for one in run.outputs],
        "models_used": [model_document(one) for one in run.models_used],
        "entities": entities,
        "events": events,
        "request_digest": run.request_digest,
    }
    if run.parent is not None:
        document["parent_run_id"] = run.parent.run_id.value
        document["parent_sequence"] = run.parent.sequence
    if run.creator is not None:
        document["creator"] = {"owner": run.creator.owner, "ttl_ms": run.creator.ttl_ms}
    if run.plan_document:
        # As text, because whoever wrote it reads it byte for byte.
        document["plan"] = run.plan_document
    return document


def entity_document(entity: Entity) -> Document:
    """Return one element of `entities`; `erased_at` is there only once it is erased."""
    draft = entity.draft
    document: Document = {
        "sequence": entity.sequence,
        "type": entity.type.value,
        "filename": entity.filename,
        "timestamp": time_text(entity.created_at),
        "media_type": entity.media_type,
        "size_bytes": entity.size_bytes,
        "sha256": entity.sha256,
        **_draft(draft),
        "upload_id": entity.upload_id,
        "metadata": dict(draft.metadata),
    }
    if entity.erased_at is not None:
        document["erased_at"] = time_text(entity.erased_at)
    return document


def event_document(event: RunEvent) -> Document:
    """Return one element of `events`."""
    kind: str
    payload: Document
    match event.payload:
        case StateChanged(state, error):
            kind, payload = "state_changed", {"state": state.value, "error": _error(error)}
        case StageStarted(progress):
            kind = "stage_started"
            payload = {
                "stage": progress.stage,
                "step": progress.step,
                "output_index": progress.output_index,
                "completed": progress.completed,
                "expected": progress.expected,
            }
        case EntityCommitted(sequence):
            kind, payload = "entity_committed", {"sequence": sequence}
        case OutputFinished(index):
            kind, payload = "output_finished", {"index": index}
        case RunWarning(reason, message, output_index):
            kind = "warning"
            payload = {"reason": reason, "message": message, "output_index": output_index}
        case EntityErased(sequence, reason):
            kind, payload = "entity_erased", {"sequence": sequence, "reason": reason}
    return {"seq": event.seq, "time": time_text(event.time), "kind": kind, "payload": payload}


def model_document(use: ModelUse) -> Document:
    """Return one element of `models_used`."""
    return {"task": use.task, "backend": use.backend, "model": use.model}


def upload_document(record: UploadRecord) -> Document:
    """Return what is stored beside the bytes of an upload."""
    draft = record.draft
    return {
        "layout_version": LAYOUT_VERSION,
        "upload": str(record.name),
        "begun_at": time_text(record.begun_at),
        "type": draft.type.value,
        **_draft(draft),
        "metadata": dict(draft.metadata),
        "intent": None if record.intent is None else entity_document(record.intent),
    }


def _draft(draft: EntityDraft) -> Document:
    return {
        "stage": draft.stage,
        "output_index": draft.output_index,
        "pass": draft.pass_number,
        "attempt": draft.attempt,
        "audience": draft.audience.value,
        "started_at": None if draft.started_at is None else time_text(draft.started_at),
        "duration_ms": draft.duration_ms,
        "models_used": [model_document(one) for one in draft.models_used],
    }


def _output(output: Output) -> Document:
    return {
        "index": output.index,
        "config": output.config,
        "occurrence": output.occurrence,
        "media_type": output.kind.value,
        "status": output.state.value,
        "reason": None if output.error is None else output.error.reason,
        "error": _error(output.error),
    }


def _error(error: RunError | None) -> Document | None:
    if error is None:
        return None
    return {
        "reason": error.reason,
        "message": error.message,
        "stage": error.stage,
        "retryable": error.retryable,
    }


def time_text(moment: datetime) -> str:
    """Return a moment as every document has it: UTC, microseconds, a Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
