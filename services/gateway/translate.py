"""Generated messages to and from the gateway's own values."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from artlab.common.v1 import common_pb2
from artlab.orchestrator.v1 import orchestrator_pb2
from artlab.recorder.v1 import recorder_pb2, run_pb2
from services.gateway.domain.run import (
    FINAL_STATES,
    PREVIEW,
    Decision,
    Entity,
    Event,
    Fault,
    ModelUse,
    Output,
    Pipeline,
    QueuePlace,
    Run,
    RunStart,
)
from services.gateway.urls import entity_url
from services.kit.enums import value_of, word_of
from services.kit.ids import RunId


def run_of(message: run_pb2.Run) -> Run:
    """Return a run of the recorder."""
    return Run(
        id=RunId.parse_name(message.name),
        state=word_of(run_pb2.RunState, message.state),
        config=message.config_name,
        safety_level=word_of(common_pb2.SafetyLevel, message.safety_level),
        execution_mode=word_of(common_pb2.ExecutionMode, message.execution_mode),
        user_id=message.user_id,
        seed=message.seed,
        last_event_seq=message.last_event_seq,
        error=fault_of(message.error) if message.HasField("error") else None,
        entities=tuple(entity_of(entity) for entity in message.entities),
        outputs=tuple(output_of(output) for output in message.outputs),
        expected_entities=tuple(message.expected_entities),
        models_used=tuple(_model_of(used) for used in message.models_used),
        parent=RunId.parse_name(message.parent) if message.parent else None,
        parent_sequence=message.parent_sequence,
        open_questions=tuple(message.open_questions),
    )


def fault_of(message: run_pb2.RunError) -> Fault:
    """Return why a run or an output ended without success."""
    return Fault(message.reason, message.message, message.stage, message.retryable)


def output_of(message: run_pb2.Output) -> Output:
    """Return one requested output."""
    return Output(
        index=message.index,
        occurrence=message.occurrence,
        config=message.output_config,
        kind=word_of(common_pb2.MediaKind, message.kind),
        state=word_of(run_pb2.RunState, message.state),
        error=fault_of(message.error) if message.HasField("error") else None,
    )


def entity_of(message: run_pb2.Entity) -> Entity:
    """Return one entity."""
    return Entity(
        sequence=message.sequence,
        type=message.type,
        filename=message.filename,
        media_type=message.media_type,
        size_bytes=message.digest.size_bytes,
        sha256=message.digest.sha256,
        timestamp=_time_of(message.create_time) if message.HasField("create_time") else None,
        stage=message.stage,
        output_index=message.output_index,
        pass_number=getattr(message, "pass"),
        audience=word_of(run_pb2.Audience, message.audience) or "research",
        models_used=tuple(_model_of(used) for used in message.models_used),
        metadata=tuple(sorted(message.metadata.items())),
        is_erased=message.HasField("erase_time"),
    )


def start_request(start: RunStart) -> orchestrator_pb2.StartRunRequest:
    """Return the message that asks for a run."""
    rerun = start.rerun
    return orchestrator_pb2.StartRunRequest(
        request_id=str(start.run_id),
        config_name=start.config,
        input_text=start.input_text,
        user_id=start.user_id,
        context=start.context,
        output_configs=start.output_configs,
        safety_level=value_of(common_pb2.SafetyLevel, start.safety_level),
        execution_mode=value_of(common_pb2.ExecutionMode, start.execution_mode),
        seed=start.seed,
        language=start.language,
        input_images=start.input_images,
        parameters={name: orjson.dumps(value).decode() for name, value in start.parameters.items()},
        allow_reuse=start.allow_reuse,
        pipeline=start.pipeline,
        pause_before_render=start.pause_before_render,
        rerun=orchestrator_pb2.Rerun(
            parent=rerun.parent.name, from_stage=rerun.from_stage, text=rerun.text
        )
        if rerun is not None
        else None,
    )


def resume_request(decision: Decision) -> orchestrator_pb2.ResumeRunRequest:
    """Return the message that answers a question."""
    return orchestrator_pb2.ResumeRunRequest(
        name=decision.run_id.name,
        question=decision.question,
        decision=value_of(orchestrator_pb2.Decision, decision.decision),
        text=decision.text,
        user_id=decision.user_id,
        is_teacher=decision.is_teacher,
    )


def place_of(message: orchestrator_pb2.GetQueuePositionResponse) -> QueuePlace:
    """Return where a run stands in line."""

    def seconds(field: str) -> float | None:
        return getattr(message, field).ToNanoseconds() / 1e9 if message.HasField(field) else None  # type: ignore[arg-type]

    return QueuePlace(message.position, seconds("estimated_wait"), seconds("estimated_total"))


def pipeline_of(message: orchestrator_pb2.PipelineSummary) -> Pipeline:
    """Return a pipeline that a run may follow."""
    return Pipeline(
        name=message.name,
        title=dict(message.title),
        description=dict(message.description),
        steps=tuple(message.steps),
        mermaid=message.mermaid,
    )


def event_of(run_id: RunId, message: recorder_pb2.WatchRunResponse) -> Event | None:
    """Return what a watch says; None for a hint of a kind we do not know."""
    if message.WhichOneof("update") == "event":
        return _fact_of(run_id, message.event)
    match message.hint.WhichOneof("hint"):
        case "text_delta":
            delta = message.hint.text_delta
            return Event(
                "text_delta",
                {
                    "entity_type": delta.entity_type,
                    "pass": getattr(delta, "pass"),
                    "offset": delta.offset,
                    "text": delta.text,
                },
            )
        case "render_progress":
            return _progress_of(message.hint.render_progress)
        case "writing_position":
            place = message.hint.writing_position
            return Event(
                "writing_position",
                {
                    "entity_type": place.entity_type,
                    "position": place.position,
                    "output_index": place.output_index,
                },
            )
        case "preview":
            preview = message.hint.preview
            return Event(
                PREVIEW,
                {
                    "output_index": preview.output_index,
                    "media_type": preview.media_type,
                    "data": base64.b64encode(preview.data).decode(),
                },
            )
        case _:
            return None


def _fact_of(run_id: RunId, event: run_pb2.RunEvent) -> Event | None:
    final = False
    kind: str = event.WhichOneof("payload") or "unknown"
    match kind:
        case "state_changed":
            state = word_of(run_pb2.RunState, event.state_changed.state)
            error = event.state_changed.error if event.state_changed.HasField("error") else None
            data: dict[str, object] = {"state": state, "error": error and _fault_json(error)}
            final = state in FINAL_STATES
        case "stage_started":
            progress = event.stage_started.progress
            data = {
                "stage": progress.stage,
                "step": progress.step,
                "completed": progress.completed,
                "expected": progress.expected,
                "output_index": progress.output_index,
            }
        case "entity_committed":
            data = _entity_json(run_id, entity_of(event.entity_committed.entity))
        case "output_finished":
            data = _output_json(output_of(event.output_finished.output))
        case "entity_erased":
            erased = event.entity_erased
            data = {"sequence": erased.sequence, "reason": erased.reason}
        case "warning":
            warning = event.warning
            data = {
                "reason": warning.reason,
                "message": warning.message,
                "output_index": warning.output_index,
            }
        case _:
            # A newer recorder's fact that readers may skip; its number still counts.
            data = {}
    time = _time_of(event.time).isoformat() if event.HasField("time") else None
    return Event(kind, {"time": time, **data}, seq=event.seq, final=final)


def _progress_of(progress: run_pb2.RenderProgress) -> Event:
    remaining = progress.remaining.ToNanoseconds() / 1e9 if progress.HasField("remaining") else None
    return Event(
        "render_progress",
        {
            "output_index": progress.output_index,
            "phase": word_of(run_pb2.RenderPhase, progress.phase),
            "fraction": progress.fraction,
            "queue_position": progress.queue_position,
            "attempt": progress.attempt,
            "instance": progress.instance,
            "node": progress.node,
            "remaining_seconds": remaining,
        },
    )


def _entity_json(run_id: RunId, entity: Entity) -> dict[str, object]:
    if not entity.type:
        # Not for this audience: it is only counted.
        return {"sequence": entity.sequence, "audience": entity.audience}
    return {
        "sequence": entity.sequence,
        "type": entity.type,
        "filename": entity.filename,
        "media_type": entity.media_type,
        "size_bytes": entity.size_bytes,
        "sha256": entity.sha256,
        "stage": entity.stage,
        "output_index": entity.output_index,
        "pass": entity.pass_number,
        "audience": entity.audience,
        "models_used": [
            {"task": used.task, "backend": used.backend, "model": used.model}
            for used in entity.models_used
        ],
        "metadata": dict(entity.metadata),
        "url": entity_url(run_id, entity.sequence),
    }


def _output_json(output: Output) -> dict[str, object]:
    return {
        "index": output.index,
        "config": output.config,
        "occurrence": output.occurrence,
        "media_type": output.kind,
        "status": output.state,
        "reason": output.error.reason if output.error else None,
    }


def _fault_json(error: run_pb2.RunError) -> dict[str, object]:
    return {
        "reason": error.reason,
        "message": error.message,
        "stage": error.stage,
        "retryable": error.retryable,
    }


def _model_of(message: common_pb2.ModelUse) -> ModelUse:
    return ModelUse(message.task, message.backend, message.model)


def _time_of(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
