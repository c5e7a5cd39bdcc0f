"""The recorder's messages to and from the orchestrator's own values."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC
from typing import cast

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2, run_pb2
from services.kit.enums import value_of, word_of
from services.kit.ids import RunId
from services.kit.streams import pieces
from services.orchestrator.domain.outcome import End
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.run import (
    EntityDraft,
    Kind,
    Level,
    Mode,
    ModelUse,
    RecordedEntity,
    RecordedOutput,
    RecordedRun,
    RunError,
)
from services.orchestrator.ports import Hint, PreviewHint, TextHint, WritingHint

# What the recorder takes; a peer that says more must not keep a run from its end.
MAX_MESSAGE_CHARACTERS = 1000
# Entities that come in one call, each and all together.
MAX_SMALL_BYTES = 1024 * 1024
MAX_TOGETHER = 16
MAX_TOGETHER_BYTES = 2 * 1024 * 1024
_CONTROL = re.compile("[\x00-\x1f\x7f]")


def output_message(output: PlannedOutput) -> run_pb2.Output:
    """Return one requested output."""
    return run_pb2.Output(
        index=output.index,
        occurrence=output.occurrence,
        output_config=output.config,
        kind=value_of(common_pb2.MediaKind, output.kind),
    )


def ended_message(output: PlannedOutput, end: End) -> run_pb2.Output:
    """Return how one output ended."""
    message = output_message(output)
    message.state = value_of(run_pb2.RunState, end.state)
    if end.error is not None:
        message.error.CopyFrom(error_message(end.error))
    return message


def error_message(error: RunError) -> run_pb2.RunError:
    """Return why something ended without success, as the recorder takes it."""
    return run_pb2.RunError(
        reason=error.reason,
        message=line(error.message),
        stage=error.stage,
        retryable=error.retryable,
    )


def line(message: str) -> str:
    """Return a message without control characters, cut to what the recorder takes."""
    return _CONTROL.sub(" ", message)[:MAX_MESSAGE_CHARACTERS]


async def chunks(
    upload: str, draft: EntityDraft, offset: int, epoch: int = 0
) -> AsyncIterator[recorder_pb2.WriteEntityRequest]:
    """Yield the messages that send an entity from an offset on."""
    request = recorder_pb2.WriteEntityRequest(
        upload=upload, offset=offset, entity=entity_message(draft), epoch=epoch
    )
    for piece in pieces(draft.data[offset:]):
        request.data = piece
        yield request
        offset += len(piece)
        request = recorder_pb2.WriteEntityRequest(offset=offset)
    request.finish = True
    request.digest.sha256 = hashlib.sha256(draft.data).hexdigest()
    request.digest.size_bytes = len(draft.data)
    yield request


def entity_message(draft: EntityDraft) -> run_pb2.Entity:
    """Return what is said of an entity that is to be recorded."""
    entity = run_pb2.Entity(
        type=draft.type,
        output_index=draft.output_index,
        metadata=dict(draft.metadata),
        stage=draft.stage,
        attempt=draft.attempt,
        audience=value_of(run_pb2.Audience, draft.audience),
        models_used=[
            common_pb2.ModelUse(task=used.task, backend=used.backend, model=used.model)
            for used in draft.models
        ],
    )
    setattr(entity, "pass", draft.pass_number)  # a keyword of Python
    entity.start_time.FromDatetime(draft.started)
    entity.duration.FromTimedelta(draft.duration)
    return entity


def new_entity_message(draft: EntityDraft) -> recorder_pb2.NewEntity:
    """Return a small entity with its bytes."""
    return recorder_pb2.NewEntity(
        upload_id=draft.upload_id, entity=entity_message(draft), data=draft.data
    )


def fit_one_call(drafts: Sequence[EntityDraft]) -> bool:
    """Whether the recorder takes them all in one call."""
    sizes = [len(draft.data) for draft in drafts]
    return (
        len(sizes) <= MAX_TOGETHER
        and max(sizes) <= MAX_SMALL_BYTES
        and sum(sizes) <= MAX_TOGETHER_BYTES
    )


def hint_message(hint: Hint) -> run_pb2.Hint:
    """Return a hint."""
    if isinstance(hint, TextHint):
        delta = run_pb2.TextDelta(entity_type=hint.entity_type, offset=hint.offset, text=hint.text)
        setattr(delta, "pass", hint.pass_number)
        return run_pb2.Hint(text_delta=delta)
    if isinstance(hint, PreviewHint):
        preview = run_pb2.Preview(
            output_index=hint.output_index,
            media_type=hint.preview.media_type,
            data=hint.preview.data,
        )
        return run_pb2.Hint(preview=preview)
    if isinstance(hint, WritingHint):
        place = run_pb2.WritingPosition(
            entity_type=hint.entity_type, position=hint.position, output_index=hint.output_index
        )
        return run_pb2.Hint(writing_position=place)
    progress = hint.progress
    message = run_pb2.RenderProgress(
        output_index=hint.output_index,
        phase=value_of(run_pb2.RenderPhase, progress.phase),
        fraction=progress.fraction,
        queue_position=progress.queue_position,
        attempt=progress.attempt,
        instance=progress.instance,
        node=progress.node,
    )
    if progress.remaining is not None:
        message.remaining.FromTimedelta(progress.remaining)
    return run_pb2.Hint(render_progress=message)


def run_of(run: run_pb2.Run, plan: str = "") -> RecordedRun:
    """Return what is known of a run."""
    return RecordedRun(
        run_id=RunId.parse_name(run.name),
        state=word_of(run_pb2.RunState, run.state),
        config_name=run.config_name,
        user_id=run.user_id,
        level=cast("Level", word_of(common_pb2.SafetyLevel, run.safety_level)),
        mode=cast("Mode", word_of(common_pb2.ExecutionMode, run.execution_mode)),
        seed=run.seed,
        output_configs=tuple(output.output_config for output in run.outputs),
        entities=tuple(entity_of(entity) for entity in run.entities),
        created=run.create_time.ToDatetime(tzinfo=UTC),
        stage=run.progress.stage,
        expected_entities=tuple(run.expected_entities),
        outputs=tuple(output_of(output) for output in run.outputs),
        error=error_of(run.error) if run.HasField("error") else None,
        deadline=run.deadline.ToDatetime(tzinfo=UTC) if run.HasField("deadline") else None,
        open_questions=tuple(run.open_questions),
        parent=RunId.parse_name(run.parent) if run.parent else None,
        parent_sequence=run.parent_sequence,
        plan=plan,
    )


def output_of(output: run_pb2.Output) -> RecordedOutput:
    """Return where one output stands."""
    return RecordedOutput(
        index=output.index,
        config=output.output_config,
        kind=cast("Kind", word_of(common_pb2.MediaKind, output.kind)),
        state=word_of(run_pb2.RunState, output.state),
        error=error_of(output.error) if output.HasField("error") else None,
        occurrence=output.occurrence,
    )


def error_of(error: run_pb2.RunError) -> RunError:
    """Return why something ended without success."""
    return RunError(error.reason, error.message, error.stage, error.retryable)


def entity_of(entity: run_pb2.Entity) -> RecordedEntity:
    """Return what is known of an entity."""
    return RecordedEntity(
        type=entity.type,
        sha256=entity.digest.sha256,
        sequence=entity.sequence,
        output_index=entity.output_index,
        media_type=entity.media_type,
        metadata=dict(entity.metadata),
        stage=entity.stage,
        pass_number=getattr(entity, "pass"),  # a keyword of Python
        attempt=entity.attempt or 1,
        created=entity.create_time.ToDatetime(tzinfo=UTC),
        erased=entity.HasField("erase_time"),
        models=tuple(ModelUse(used.task, used.backend, used.model) for used in entity.models_used),
    )
