"""The types of the domain into messages."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2, run_pb2
from services.kit.ids import EntityName, RunId
from services.recorder.domain.entity import Entity, ModelUse
from services.recorder.domain.events import (
    EntityCommitted,
    EntityErased,
    OutputFinished,
    Progress,
    RunEvent,
    RunWarning,
    StageStarted,
    StateChanged,
)
from services.recorder.domain.outcome import Output, RunError
from services.recorder.domain.questions import open_questions
from services.recorder.domain.stats import RunStats
from services.recorder.domain.summary import Summary
from services.recorder.domain.views import RunView, view
from services.recorder.domain.vocabulary import Audience
from services.recorder.words import (
    AUDIENCES,
    EXECUTION_MODES,
    MEDIA_KINDS,
    RUN_STATES,
    SAFETY_LEVELS,
)


def run_message(seen: RunView) -> run_pb2.Run:
    """A run as one audience sees it."""
    run = seen.whole
    message = run_pb2.Run(
        name=run.run_id.name,
        state=RUN_STATES.value(run.state),
        config_name=run.config_name,
        safety_level=SAFETY_LEVELS.value(run.safety_level),
        user_id=run.user_id,
        create_time=moment_message(run.created_at),
        deadline=moment_message(run.deadline),
        progress=progress_message(run.progress),
        last_event_seq=run.last_event_seq,
        entities=[entity_message(run.run_id, one) for one in seen.entities],
        outputs=[output_message(one) for one in seen.outputs],
        expected_entities=[one.value for one in run.expected_entities],
        execution_mode=EXECUTION_MODES.value(run.execution_mode),
        models_used=[_model(one) for one in seen.models_used],
        seed=run.seed,
        open_questions=open_questions(run),
    )
    if run.parent is not None:
        message.parent = run.parent.run_id.name
        message.parent_sequence = run.parent.sequence
    if run.finished_at is not None:
        message.finish_time.CopyFrom(moment_message(run.finished_at))
    if seen.error is not None:
        message.error.CopyFrom(_error(seen.error))
    return message


def listed_message(summary: Summary, audience: Audience, *, is_favourite: bool) -> run_pb2.Run:
    """A run of a list, as one audience sees it: without its entities."""
    message = run_message(view(summary.run, audience))
    message.progress.completed = summary.entities
    message.last_event_seq = summary.events
    del message.models_used[:]
    message.models_used.extend(_model(one) for one in summary.models_used[audience])
    message.favourite = is_favourite
    message.open_questions.extend(summary.open_questions)
    return message


def stats_message(stats: RunStats) -> recorder_pb2.GetRunStatsResponse:
    """Counts of many runs."""
    message = recorder_pb2.GetRunStatsResponse(
        runs=stats.runs,
        states=[
            recorder_pb2.StateCount(state=RUN_STATES.value(state), runs=runs)
            for state, runs in stats.states
        ],
        configs=[
            recorder_pb2.ConfigCount(config_name=name, runs=runs) for name, runs in stats.configs
        ],
        entities=stats.entities,
        size_bytes=stats.size_bytes,
    )
    if stats.durations_ms is not None:
        p50, p90, p99 = (_duration(one) for one in stats.durations_ms)
        message.duration_p50.CopyFrom(p50)
        message.duration_p90.CopyFrom(p90)
        message.duration_p99.CopyFrom(p99)
    if stats.work_p50_ms is not None:
        message.work_p50.CopyFrom(_duration(stats.work_p50_ms))
    return message


def entity_message(run_id: RunId, entity: Entity) -> run_pb2.Entity:
    """An entity of a run."""
    draft = entity.draft
    message = run_pb2.Entity(
        name=str(EntityName(run_id, entity.sequence)),
        sequence=entity.sequence,
        type=entity.type.value,
        filename=entity.filename,
        media_type=entity.media_type,
        digest=common_pb2.Digest(sha256=entity.sha256, size_bytes=entity.size_bytes),
        create_time=moment_message(entity.created_at),
        output_index=draft.output_index,
        metadata=draft.metadata,
        stage=draft.stage,
        attempt=draft.attempt,
        audience=AUDIENCES.value(draft.audience),
        models_used=[_model(one) for one in draft.models_used],
    )
    setattr(message, "pass", draft.pass_number)  # a keyword in Python
    if draft.started_at is not None:
        message.start_time.CopyFrom(moment_message(draft.started_at))
    if draft.duration_ms is not None:
        message.duration.CopyFrom(_duration(draft.duration_ms))
    if entity.erased_at is not None:
        message.erase_time.CopyFrom(moment_message(entity.erased_at))
    return message


def output_message(output: Output) -> run_pb2.Output:
    """An output of a run."""
    message = run_pb2.Output(
        index=output.index,
        occurrence=output.occurrence,
        output_config=output.config,
        kind=MEDIA_KINDS.value(output.kind),
        state=RUN_STATES.value(output.state),
    )
    if output.error is not None:
        message.error.CopyFrom(_error(output.error))
    return message


def progress_message(progress: Progress) -> run_pb2.Progress:
    """Where a run stands."""
    return run_pb2.Progress(
        stage=progress.stage,
        step=progress.step,
        completed=progress.completed,
        expected=progress.expected,
        output_index=progress.output_index,
    )


def event_message(seen: RunView, event: RunEvent) -> run_pb2.RunEvent:
    """A fact as one audience hears it; the run seen is any state of it that contains the fact."""
    message = run_pb2.RunEvent(seq=event.seq, time=moment_message(event.time))
    match seen.event(event).payload:
        case StateChanged(state, error):
            message.state_changed.state = RUN_STATES.value(state)
            if error is not None:
                message.state_changed.error.CopyFrom(_error(error))
        case StageStarted(progress):
            message.stage_started.progress.CopyFrom(progress_message(progress))
        case EntityCommitted(sequence):
            message.entity_committed.entity.CopyFrom(_committed(seen, sequence))
        case OutputFinished(index):
            message.output_finished.output.CopyFrom(output_message(seen.outputs[index - 1]))
        case EntityErased(sequence, reason):
            message.entity_erased.sequence = sequence
            message.entity_erased.reason = reason
            message.entity_erased.erase_time.CopyFrom(moment_message(event.time))
        case RunWarning(reason, text, output_index):
            message.ignorable = True
            message.warning.reason = reason
            message.warning.message = text
            message.warning.output_index = output_index
    return message


def _committed(seen: RunView, sequence: int) -> run_pb2.Entity:
    run = seen.whole
    entity = run.entity(sequence)
    if seen.may_see(entity):
        return entity_message(run.run_id, seen.entity(sequence))
    return run_pb2.Entity(
        name=str(EntityName(run.run_id, sequence)),
        sequence=sequence,
        audience=AUDIENCES.value(seen.least_audience(entity)),
    )


def _error(error: RunError) -> run_pb2.RunError:
    return run_pb2.RunError(
        reason=error.reason, message=error.message, stage=error.stage, retryable=error.retryable
    )


def _model(use: ModelUse) -> common_pb2.ModelUse:
    return common_pb2.ModelUse(task=use.task, backend=use.backend, model=use.model)


def moment_message(moment: datetime) -> Timestamp:
    """A moment."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _duration(milliseconds: int) -> Duration:
    return Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)
