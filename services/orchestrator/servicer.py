"""OrchestratorService: parse, call one function, answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc.aio

from artlab.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.kit.deadline import budget
from services.kit.errors import ArtlabError
from services.kit.ids import RunId
from services.kit.status import remote_errors
from services.kit.streams import read_rest
from services.orchestrator.decisions import Decisions
from services.orchestrator.engine.definition import Definition
from services.orchestrator.position import Positions
from services.orchestrator.supervisor import Supervisor
from services.orchestrator.translate import picture_of, run_request
from services.orchestrator.translate_people import answer_of, pipeline_summaries
from services.orchestrator.translate_queue import position_message

Context = grpc.aio.ServicerContext[Any, Any]
READ_SECONDS = 10.0
# Seconds a call may take: a picture is brought over, made fit, looked at and recorded.
CAPS = {"AddInputImage": 300.0}


class OrchestratorServicer(orchestrator_pb2_grpc.OrchestratorServiceServicer):
    """The truth of a run is the recorder's, so answers show the run as it says."""

    def __init__(
        self,
        supervisor: Supervisor,
        recorder: recorder_pb2_grpc.RecorderServiceAsyncStub,
        *,
        decisions: Decisions,
        pipelines: Mapping[str, Definition],
        positions: Positions,
    ) -> None:
        self._supervisor = supervisor
        self._recorder = recorder
        self._decisions = decisions
        self._pipelines = pipelines
        self._positions = positions

    async def StartRun(
        self, request: orchestrator_pb2.StartRunRequest, context: Context
    ) -> orchestrator_pb2.StartRunResponse:
        """Plan, create and start a run."""
        asked = run_request(request)
        created = await self._supervisor.start(asked)
        if created is None or not created.shown:
            return orchestrator_pb2.StartRunResponse(run=await self._run(asked.run_id))
        # Nobody need ask for what the recorder has just said.
        return orchestrator_pb2.StartRunResponse(run=run_pb2.Run.FromString(created.shown))

    async def AddInputImage(
        self, requests: AsyncIterator[orchestrator_pb2.AddInputImageRequest], context: Context
    ) -> orchestrator_pb2.AddInputImageResponse:
        """Give a run a picture it waits for."""
        try:
            run_id, index, chunks = await picture_of(requests)
            await self._supervisor.add_input_image(run_id, index, chunks)
        except ArtlabError:
            await read_rest(requests)
            raise
        run = await self._run(run_id)
        recorded = [one for one in run.entities if _is_input_image(one, index)]
        return orchestrator_pb2.AddInputImageResponse(
            run=run, entity=recorded[0] if recorded else None
        )

    async def CancelRun(
        self, request: orchestrator_pb2.CancelRunRequest, context: Context
    ) -> orchestrator_pb2.CancelRunResponse:
        """Stop a run and wait until it is final."""
        run_id = RunId.parse_name(request.name)
        await self._supervisor.cancel(run_id)
        return orchestrator_pb2.CancelRunResponse(run=await self._run(run_id))

    async def ResumeRun(
        self, request: orchestrator_pb2.ResumeRunRequest, context: Context
    ) -> orchestrator_pb2.ResumeRunResponse:
        """Answer a question a run waits with."""
        answer = answer_of(request)
        await self._decisions.take(answer)
        return orchestrator_pb2.ResumeRunResponse(run=await self._run(answer.run_id))

    async def GetQueuePosition(
        self, request: orchestrator_pb2.GetQueuePositionRequest, context: Context
    ) -> orchestrator_pb2.GetQueuePositionResponse:
        """Tell when it may be a run's turn, and when it may be done."""
        return position_message(await self._positions.of(RunId.parse_name(request.name)))

    async def ListPipelines(
        self, request: orchestrator_pb2.ListPipelinesRequest, context: Context
    ) -> orchestrator_pb2.ListPipelinesResponse:
        """List the pipelines a run may follow."""
        return pipeline_summaries(self._pipelines)

    async def _run(self, run_id: RunId) -> run_pb2.Run:
        # For services; who shows a run to people asks the recorder for their view of it.
        request = recorder_pb2.GetRunRequest(name=run_id.name, audience=run_pb2.AUDIENCE_RESEARCH)
        with remote_errors("recorder"):
            answer = await self._recorder.GetRun(request, timeout=budget(READ_SECONDS))
        return answer.run


def _is_input_image(entity: run_pb2.Entity, index: int) -> bool:
    return entity.type == "input_image" and entity.metadata.get("index") == str(index)
