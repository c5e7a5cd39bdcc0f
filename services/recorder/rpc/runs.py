"""Runs: made, moved on, ended, deleted."""

from __future__ import annotations

from artlab.recorder.v1 import recorder_pb2 as pb
from services.kit.ids import RunId
from services.kit.interceptors import Context
from services.recorder.domain.views import audience_too_low, view
from services.recorder.domain.vocabulary import Audience
from services.recorder.parse import (
    MAX_OUTPUTS,
    MAX_STAGE,
    parse_new_entities,
    parse_output_end,
    parse_output_ends,
    parse_plan,
    parse_run_end,
    parse_step,
    parse_warning,
)
from services.recorder.parse_claims import parse_claimant, parse_epoch
from services.recorder.parse_values import parse_number
from services.recorder.recorder import Recorder
from services.recorder.translate import (
    output_message,
    progress_message,
    run_message,
)
from services.recorder.words import AUDIENCES


class RunsRpcs:
    """Parse, call one function, translate; see recorder.proto."""

    _recorder: Recorder

    async def CreateRun(
        self, request: pb.CreateRunRequest, context: Context
    ) -> pb.CreateRunResponse:
        """See recorder.proto."""
        run_id = RunId.parse(request.request_id, "request_id")
        plan = parse_plan(request)
        by = parse_claimant(request) if request.HasField("claim") else None
        small = parse_new_entities(request.entities)
        run, epoch = await self._recorder.create_run(run_id, plan, by, small)
        return pb.CreateRunResponse(run=run_message(view(run, Audience.RESEARCH)), epoch=epoch)

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.GetRunResponse:
        """See recorder.proto."""
        run_id = RunId.parse_name(request.name)
        audience = AUDIENCES.word(request.audience, "audience")
        for_research = request.include_document or request.include_plan
        if for_research and audience is not Audience.RESEARCH:
            raise audience_too_low()
        run = await self._recorder.get_run(run_id)
        document = await self._recorder.read_document(run_id) if request.include_document else b""
        message = run_message(view(run, audience))
        message.favourite = self._recorder.care.favourites.has(run_id)
        plan = run.plan_document if request.include_plan else ""
        return pb.GetRunResponse(run=message, document=document, plan=plan)

    async def DeleteRun(
        self, request: pb.DeleteRunRequest, context: Context
    ) -> pb.DeleteRunResponse:
        """See recorder.proto."""
        await self._recorder.delete_run(RunId.parse_name(request.name))
        return pb.DeleteRunResponse()

    async def SetProgress(
        self, request: pb.SetProgressRequest, context: Context
    ) -> pb.SetProgressResponse:
        """See recorder.proto."""
        progress = await self._recorder.set_progress(
            RunId.parse_name(request.name),
            parse_number(request.stage, "stage", most=MAX_STAGE),
            parse_step(request.step),
            parse_number(request.output_index, "output_index", most=MAX_OUTPUTS),
            parse_epoch(request.epoch),
        )
        return pb.SetProgressResponse(progress=progress_message(progress))

    async def FinalizeOutput(
        self, request: pb.FinalizeOutputRequest, context: Context
    ) -> pb.FinalizeOutputResponse:
        """See recorder.proto."""
        run_id = RunId.parse_name(request.name)
        output = await self._recorder.finalize_output(
            run_id, parse_output_end(request.output), parse_epoch(request.epoch)
        )
        return pb.FinalizeOutputResponse(output=output_message(output))

    async def RecordWarning(
        self, request: pb.RecordWarningRequest, context: Context
    ) -> pb.RecordWarningResponse:
        """See recorder.proto."""
        run_id = RunId.parse_name(request.name)
        warning = parse_warning(request.warning)
        await self._recorder.record_warning(run_id, warning, parse_epoch(request.epoch))
        return pb.RecordWarningResponse()

    async def FinalizeRun(
        self, request: pb.FinalizeRunRequest, context: Context
    ) -> pb.FinalizeRunResponse:
        """See recorder.proto."""
        run_id = RunId.parse_name(request.name)
        run = await self._recorder.finalize_run(
            run_id,
            *parse_run_end(request),
            parse_epoch(request.epoch),
            parse_output_ends(request.outputs),
        )
        return pb.FinalizeRunResponse(run=run_message(view(run, Audience.RESEARCH)))
