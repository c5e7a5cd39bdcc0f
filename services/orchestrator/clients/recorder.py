"""The recorder as the orchestrator sees it, over gRPC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

import grpc.aio

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.kit.deadline import budget
from services.kit.enums import value_of, word_of
from services.kit.ids import RunId
from services.kit.status import remote_errors
from services.orchestrator.domain.plan import Plan, PlannedOutput
from services.orchestrator.domain.run import (
    EntityDraft,
    FinalState,
    Level,
    Mode,
    RecordedEntity,
    RecordedRun,
    RunError,
)
from services.orchestrator.ports import Hint, TextHint

CALL_SECONDS = 10.0
HINT_SECONDS = 2.0
PAGE_SIZE = 200
# Who drives runs must know all of them; nobody else gets this answer.
AUDIENCE = run_pb2.AUDIENCE_RESEARCH
OPEN_RUNS = recorder_pb2.RunFilter(states=[run_pb2.RUN_STATE_PENDING, run_pb2.RUN_STATE_RUNNING])
# What the recorder takes; a peer that says more must not keep a run from its end.
MAX_MESSAGE_CHARACTERS = 1000
_CONTROL = re.compile("[\x00-\x1f\x7f]")


class RecorderClient:
    """Implements ports.Recorder."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = recorder_pb2_grpc.RecorderServiceStub(channel)

    async def get_run(self, run_id: RunId) -> RecordedRun:
        """Return one run. Raises NotFound."""
        request = recorder_pb2.GetRunRequest(name=run_id.name, audience=AUDIENCE)
        with remote_errors("recorder"):
            answer = await self._stub.GetRun(request, timeout=budget(CALL_SECONDS))
        return _run(answer.run)

    async def create_run(self, plan: Plan, deadline: datetime) -> None:
        """Create the run of a plan. Raises AlreadyExists REQUEST_ID_REUSED."""
        run = run_pb2.Run(
            config_name=plan.recipe.name,
            safety_level=value_of(common_pb2.SafetyLevel, plan.level),
            user_id=plan.request.user_id,
            execution_mode=value_of(common_pb2.ExecutionMode, plan.request.mode),
            seed=plan.seed,
            expected_entities=plan.expected_entities,
            outputs=[_output(output) for output in plan.outputs],
        )
        run.deadline.FromDatetime(deadline)
        request = recorder_pb2.CreateRunRequest(request_id=str(plan.run_id), run=run)
        with remote_errors("recorder"):
            await self._stub.CreateRun(request, timeout=budget(CALL_SECONDS))

    async def open_runs(self) -> Sequence[RecordedRun]:
        """Every run that is not final, newest first."""
        found: list[RecordedRun] = []
        token = ""
        while True:
            request = recorder_pb2.ListRunsRequest(
                page_size=PAGE_SIZE, page_token=token, audience=AUDIENCE, filter=OPEN_RUNS
            )
            with remote_errors("recorder"):
                answer = await self._stub.ListRuns(request, timeout=budget(CALL_SECONDS))
            found += [_run(run) for run in answer.runs]
            token = answer.next_page_token
            if not token:
                return found

    async def set_progress(
        self, run_id: RunId, stage: int, step: str, output_index: int = 0
    ) -> None:
        """Record where the pipeline stands."""
        request = recorder_pb2.SetProgressRequest(
            name=run_id.name, stage=stage, step=step, output_index=output_index
        )
        with remote_errors("recorder"):
            await self._stub.SetProgress(request, timeout=budget(CALL_SECONDS))

    async def record(self, run_id: RunId, draft: EntityDraft) -> None:
        """Commit one small entity."""
        request = recorder_pb2.RecordEntityRequest(
            upload=f"{run_id.name}/uploads/{draft.upload_id}",
            entity=_entity(draft),
            data=draft.data,
        )
        with remote_errors("recorder"):
            await self._stub.RecordEntity(request, timeout=budget(CALL_SECONDS))

    async def publish(self, run_id: RunId, hints: Sequence[Hint]) -> None:
        """Pass hints on to watchers."""
        request = recorder_pb2.PublishHintsRequest(
            name=run_id.name, hints=[_hint(hint) for hint in hints]
        )
        with remote_errors("recorder"):
            await self._stub.PublishHints(request, timeout=budget(HINT_SECONDS))

    async def finalize_output(
        self, run_id: RunId, output: PlannedOutput, state: FinalState, error: RunError | None
    ) -> FinalState:
        """Make one output final; return how it is recorded: a second call changes nothing."""
        message = _output(output)
        message.state = value_of(run_pb2.RunState, state)
        if error is not None:
            message.error.CopyFrom(_error(error))
        request = recorder_pb2.FinalizeOutputRequest(name=run_id.name, output=message)
        with remote_errors("recorder"):
            answer = await self._stub.FinalizeOutput(request, timeout=budget(CALL_SECONDS))
        return cast("FinalState", word_of(run_pb2.RunState, answer.output.state))

    async def finalize_run(
        self, run_id: RunId, state: FinalState, error: RunError | None
    ) -> RecordedRun:
        """Make the run final; a second call returns it as it is."""
        request = recorder_pb2.FinalizeRunRequest(
            name=run_id.name, state=value_of(run_pb2.RunState, state)
        )
        if error is not None:
            request.error.CopyFrom(_error(error))
        with remote_errors("recorder"):
            answer = await self._stub.FinalizeRun(request, timeout=budget(CALL_SECONDS))
        return _run(answer.run)


def _output(output: PlannedOutput) -> run_pb2.Output:
    return run_pb2.Output(
        index=output.index,
        occurrence=output.occurrence,
        output_config=output.config,
        kind=value_of(common_pb2.MediaKind, output.kind),
    )


def _error(error: RunError) -> run_pb2.RunError:
    message = _CONTROL.sub(" ", error.message)[:MAX_MESSAGE_CHARACTERS]
    return run_pb2.RunError(
        reason=error.reason, message=message, stage=error.stage, retryable=error.retryable
    )


def _entity(draft: EntityDraft) -> run_pb2.Entity:
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


def _hint(hint: Hint) -> run_pb2.Hint:
    if isinstance(hint, TextHint):
        delta = run_pb2.TextDelta(entity_type=hint.entity_type, offset=hint.offset, text=hint.text)
        setattr(delta, "pass", hint.pass_number)
        return run_pb2.Hint(text_delta=delta)
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


def _run(run: run_pb2.Run) -> RecordedRun:
    return RecordedRun(
        run_id=RunId.parse_name(run.name),
        state=word_of(run_pb2.RunState, run.state),
        config_name=run.config_name,
        user_id=run.user_id,
        level=cast("Level", word_of(common_pb2.SafetyLevel, run.safety_level)),
        mode=cast("Mode", word_of(common_pb2.ExecutionMode, run.execution_mode)),
        seed=run.seed,
        output_configs=tuple(output.output_config for output in run.outputs),
        entities=tuple(
            RecordedEntity(entity.type, entity.digest.sha256) for entity in run.entities
        ),
        created=run.create_time.ToDatetime(tzinfo=UTC),
        stage=run.progress.stage,
    )
