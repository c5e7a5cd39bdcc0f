"""The recorder as the orchestrator sees it, over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from copy import copy
from datetime import datetime
from typing import cast

import grpc.aio

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.kit.deadline import budget
from services.kit.enums import value_of, word_of
from services.kit.errors import Internal, NotFound
from services.kit.ids import EntityName, RunId
from services.kit.status import remote_errors
from services.kit.streams import send_all
from services.orchestrator.claims import Claim
from services.orchestrator.clients.fencing import fenced_errors
from services.orchestrator.clients.recorder_claims import RecorderClaims, claim_message
from services.orchestrator.clients.recorder_messages import (
    MAX_SMALL_BYTES,
    chunks,
    ended_message,
    entity_message,
    entity_of,
    error_message,
    fit_one_call,
    hint_message,
    line,
    new_entity_message,
    output_message,
    run_of,
)
from services.orchestrator.domain.outcome import End
from services.orchestrator.domain.plan import Plan, PlannedOutput
from services.orchestrator.domain.run import (
    EntityDraft,
    FinalState,
    RecordedEntity,
    RecordedRun,
    RenderWarning,
    RunError,
)
from services.orchestrator.ports import Created, Hint, Position, RunHistory

CALL_SECONDS = 10.0
HINT_SECONDS = 2.0
# For what is too large for one call: a person's picture, or a film that is read to be judged.
STREAM_SECONDS = 180.0
# Who drives runs must know all of them; nobody else gets this answer.
AUDIENCE = run_pb2.AUDIENCE_RESEARCH


class RecorderClient(RecorderClaims):
    """Implements ports.Recorder: the view of one epoch, 0 for who does not drive the run."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__(channel)
        self._stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        self._epoch = 0

    def under(self, epoch: int) -> RecorderClient:
        """Return the same recorder for who drives a run under this epoch."""
        view = copy(self)
        view._epoch = epoch
        return view

    async def get_run(self, run_id: RunId, *, with_plan: bool = False) -> RecordedRun:
        """Return one run, and its plan document if asked for. Raises NotFound."""
        request = recorder_pb2.GetRunRequest(
            name=run_id.name, audience=AUDIENCE, include_plan=with_plan
        )
        with remote_errors("recorder"):
            answer = await self._stub.GetRun(request, timeout=budget(CALL_SECONDS))
        return run_of(answer.run, answer.plan)

    async def create_run(
        self,
        plan: Plan,
        document: str,
        deadline: datetime,
        claim: Claim | None = None,
        drafts: Sequence[EntityDraft] = (),
    ) -> Created:
        """Create the run of a plan with its first entities, and claim it.

        Raises AlreadyExists REQUEST_ID_REUSED.
        """
        run = run_pb2.Run(
            config_name=plan.recipe.name,
            safety_level=value_of(common_pb2.SafetyLevel, plan.level),
            user_id=plan.request.user_id,
            execution_mode=value_of(common_pb2.ExecutionMode, plan.request.mode),
            seed=plan.seed,
            expected_entities=plan.expected_entities,
            outputs=[output_message(output) for output in plan.outputs],
        )
        if plan.lineage is not None:
            run.parent = plan.lineage.parent.name
            run.parent_sequence = plan.lineage.parent_sequence
        run.deadline.FromDatetime(deadline)
        request = recorder_pb2.CreateRunRequest(
            request_id=str(plan.run_id),
            run=run,
            plan=document,
            claim=None if claim is None else claim_message(claim),
            entities=[new_entity_message(draft) for draft in drafts],
        )
        with remote_errors("recorder"):
            answer = await self._stub.CreateRun(request, timeout=budget(CALL_SECONDS))
        return Created(answer.epoch, answer.run.SerializeToString())

    async def history(self, output_config: str, config_name: str = "") -> RunHistory:
        """How long runs with such an output were in work that succeeded; of one recipe, or all."""
        request = recorder_pb2.GetRunStatsRequest(
            audience=AUDIENCE,
            filter=recorder_pb2.RunFilter(
                config_names=[config_name] if config_name else [],
                output_configs=[output_config],
                states=[run_pb2.RUN_STATE_SUCCEEDED],
            ),
        )
        with remote_errors("recorder"):
            answer = await self._stub.GetRunStats(request, timeout=budget(CALL_SECONDS))
        if not answer.HasField("work_p50"):
            return RunHistory(None)
        return RunHistory(answer.work_p50.ToTimedelta().total_seconds())

    async def set_progress(
        self, run_id: RunId, stage: int, step: str, output_index: int = 0
    ) -> None:
        """Record where the pipeline stands."""
        request = recorder_pb2.SetProgressRequest(
            name=run_id.name, stage=stage, step=step, output_index=output_index, epoch=self._epoch
        )
        with fenced_errors("recorder"):
            await self._stub.SetProgress(request, timeout=budget(CALL_SECONDS))

    async def record(
        self, run_id: RunId, draft: EntityDraft, then: Position | None = None
    ) -> RecordedEntity:
        """Commit one entity, and where the pipeline stands then; return it as it is recorded."""
        upload = f"{run_id.name}/uploads/{draft.upload_id}"
        if len(draft.data) > MAX_SMALL_BYTES:
            written = await self._write(upload, draft)
            if then is not None:
                await self.set_progress(run_id, then.stage, then.step, then.output_index)
            return written
        request = recorder_pb2.RecordEntityRequest(
            upload=upload, entity=entity_message(draft), data=draft.data, epoch=self._epoch
        )
        if then is not None:
            request.progress.stage, request.progress.step = then.stage, then.step
            request.progress.output_index = then.output_index
        with fenced_errors("recorder"):
            answer = await self._stub.RecordEntity(request, timeout=budget(CALL_SECONDS))
        return entity_of(answer.entity)

    async def record_all(
        self, run_id: RunId, drafts: Sequence[EntityDraft], then: Position | None = None
    ) -> list[RecordedEntity]:
        """Commit entities in their order, and where the pipeline stands then."""
        if len(drafts) == 1 or not fit_one_call(drafts):
            before = [await self.record(run_id, draft) for draft in drafts[:-1]]
            return [*before, await self.record(run_id, drafts[-1], then)]
        request = recorder_pb2.RecordEntitiesRequest(
            name=run_id.name,
            entities=[new_entity_message(draft) for draft in drafts],
            epoch=self._epoch,
        )
        if then is not None:
            request.progress.stage, request.progress.step = then.stage, then.step
            request.progress.output_index = then.output_index
        with fenced_errors("recorder"):
            answer = await self._stub.RecordEntities(request, timeout=budget(CALL_SECONDS))
        return [entity_of(entity) for entity in answer.entities]

    async def _write(self, upload: str, draft: EntityDraft) -> RecordedEntity:
        known = await self._upload(upload)
        if known.HasField("entity"):
            return entity_of(known.entity)
        with fenced_errors("recorder"):
            call = self._stub.WriteEntity(timeout=budget(STREAM_SECONDS))
            await send_all(call, chunks(upload, draft, known.committed_size, self._epoch))
            answer = await call
        if not answer.HasField("entity"):
            raise Internal("RECORDER_PROTOCOL", "the recorder took an entity and did not commit it")
        return entity_of(answer.entity)

    async def _upload(self, upload: str) -> recorder_pb2.GetUploadResponse:
        request = recorder_pb2.GetUploadRequest(upload=upload, epoch=self._epoch)
        try:
            with fenced_errors("recorder"):
                return await self._stub.GetUpload(request, timeout=budget(CALL_SECONDS))
        except NotFound as error:
            if error.reason != "UPLOAD_NOT_FOUND":
                raise
            return recorder_pb2.GetUploadResponse()

    async def read(self, run_id: RunId, sequence: int) -> AsyncIterator[bytes]:
        """Yield the bytes of an entity in chunks of at most 256 KiB."""
        request = recorder_pb2.ReadEntityRequest(
            name=str(EntityName(run_id, sequence)), audience=AUDIENCE
        )
        call = self._stub.ReadEntity(request, timeout=budget(STREAM_SECONDS))
        try:
            with remote_errors("recorder"):
                async for message in call:
                    yield message.data
        finally:
            call.cancel()

    async def erase(self, run_id: RunId, sequence: int, reason: str) -> None:
        """Remove the bytes of an entity that nobody may see."""
        request = recorder_pb2.EraseEntityRequest(
            name=str(EntityName(run_id, sequence)), reason=reason, epoch=self._epoch
        )
        with fenced_errors("recorder"):
            await self._stub.EraseEntity(request, timeout=budget(CALL_SECONDS))

    async def warn(self, run_id: RunId, output_index: int, warning: RenderWarning) -> None:
        """Record something a person should know."""
        request = recorder_pb2.RecordWarningRequest(
            name=run_id.name,
            warning=run_pb2.Warning(
                reason=warning.reason,
                message=line(warning.message),
                output_index=output_index,
            ),
            epoch=self._epoch,
        )
        with fenced_errors("recorder"):
            await self._stub.RecordWarning(request, timeout=budget(CALL_SECONDS))

    async def publish(self, run_id: RunId, hints: Sequence[Hint]) -> None:
        """Pass hints on to watchers."""
        request = recorder_pb2.PublishHintsRequest(
            name=run_id.name, hints=[hint_message(hint) for hint in hints], epoch=self._epoch
        )
        with fenced_errors("recorder"):
            await self._stub.PublishHints(request, timeout=budget(HINT_SECONDS))

    async def finalize_output(
        self, run_id: RunId, output: PlannedOutput, state: FinalState, error: RunError | None
    ) -> FinalState:
        """Make one output final; return how it is recorded: a second call changes nothing."""
        request = recorder_pb2.FinalizeOutputRequest(
            name=run_id.name, output=ended_message(output, End(state, error)), epoch=self._epoch
        )
        with fenced_errors("recorder"):
            answer = await self._stub.FinalizeOutput(request, timeout=budget(CALL_SECONDS))
        return cast("FinalState", word_of(run_pb2.RunState, answer.output.state))

    async def finalize_run(
        self,
        run_id: RunId,
        state: FinalState,
        error: RunError | None,
        outputs: Sequence[tuple[PlannedOutput, End]] = (),
    ) -> RecordedRun:
        """Make outputs and then the run final; a second call returns it as it is."""
        request = recorder_pb2.FinalizeRunRequest(
            name=run_id.name,
            state=value_of(run_pb2.RunState, state),
            outputs=[ended_message(output, end) for output, end in outputs],
            epoch=self._epoch,
        )
        if error is not None:
            request.error.CopyFrom(error_message(error))
        with fenced_errors("recorder"):
            answer = await self._stub.FinalizeRun(request, timeout=budget(CALL_SECONDS))
        return run_of(answer.run)
