"""The status of a run for those who may not have its metadata.json: what they see, in its shape."""

from __future__ import annotations

import json
from datetime import UTC

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import run_pb2
from services.kit.enums import word_of

Fields = dict[str, object]


def status_document(run: run_pb2.Run, audience: str) -> bytes:
    """Return a view of a run under the names of metadata.json, and whose view it is.

    Events, checksum and what the recorder keeps for itself are not in it.
    """
    progress = run.progress
    document: Fields = {
        "audience": audience,
        "run_id": run.name.removeprefix("runs/"),
        "timestamp": _time(run, "create_time"),
        "status": word_of(run_pb2.RunState, run.state),
        "config_name": run.config_name,
        "execution_mode": word_of(common_pb2.ExecutionMode, run.execution_mode),
        "safety_level": word_of(common_pb2.SafetyLevel, run.safety_level),
        "user_id": run.user_id,
        "seed": run.seed,
        "deadline": _time(run, "deadline"),
        "finished_at": _time(run, "finish_time"),
        "current_state": {
            "stage": progress.stage,
            "step": progress.step,
            "progress": f"{progress.completed}/{progress.expected}",
            "output_index": progress.output_index,
        },
        "expected_outputs": list(run.expected_entities),
        "completed_outputs": [entity.type for entity in run.entities],
        "error": _error(run),
        "outputs": [_output(output) for output in run.outputs],
        "models_used": [_model(used) for used in run.models_used],
        "entities": [_entity(entity) for entity in run.entities],
    }
    if run.parent:
        document["parent_run_id"] = run.parent.removeprefix("runs/")
        document["parent_sequence"] = run.parent_sequence
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"


def _entity(entity: run_pb2.Entity) -> Fields:
    milliseconds = entity.duration.ToMilliseconds() if entity.HasField("duration") else None
    found: Fields = {
        "sequence": entity.sequence,
        "type": entity.type,
        "filename": entity.filename,
        "timestamp": _time(entity, "create_time"),
        "media_type": entity.media_type,
        "size_bytes": entity.digest.size_bytes,
        "sha256": entity.digest.sha256,
        "stage": entity.stage,
        "output_index": entity.output_index,
        "pass": getattr(entity, "pass"),
        "attempt": entity.attempt,
        "audience": word_of(run_pb2.Audience, entity.audience),
        "started_at": _time(entity, "start_time"),
        "duration_ms": milliseconds,
        "models_used": [_model(used) for used in entity.models_used],
        "metadata": dict(sorted(entity.metadata.items())),
    }
    if entity.HasField("erase_time"):
        found["erased_at"] = _time(entity, "erase_time")
    return found


def _output(output: run_pb2.Output) -> Fields:
    return {
        "index": output.index,
        "config": output.output_config,
        "occurrence": output.occurrence,
        "media_type": word_of(common_pb2.MediaKind, output.kind),
        "status": word_of(run_pb2.RunState, output.state),
        "reason": output.error.reason if output.HasField("error") else None,
        "error": _error(output),
    }


def _error(ended: run_pb2.Run | run_pb2.Output) -> Fields | None:
    if not ended.HasField("error"):
        return None
    return {
        "reason": ended.error.reason,
        "message": ended.error.message,
        "stage": ended.error.stage,
        "retryable": ended.error.retryable,
    }


def _model(used: common_pb2.ModelUse) -> Fields:
    return {"task": used.task, "backend": used.backend, "model": used.model}


def _time(message: Message, field: str) -> str | None:
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    moment = stamp.ToDatetime(tzinfo=UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
