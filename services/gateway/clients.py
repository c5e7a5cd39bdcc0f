"""The other services as the gateway uses them. Every method raises an ArtlabError."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import grpc.aio

from artlab.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc
from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc, run_pb2
from services.gateway.domain.run import Decision, Event, Pipeline, QueuePlace, Run, RunStart
from services.gateway.hedged import first_answer
from services.gateway.status import status_document
from services.gateway.translate import (
    event_of,
    pipeline_of,
    place_of,
    resume_request,
    run_of,
    start_request,
)
from services.kit.enums import value_of, word_of
from services.kit.errors import DeadlineExceeded, Internal, InvalidArgument, Unavailable
from services.kit.ids import EntityName, RunId
from services.kit.status import remote_errors
from services.kit.streams import pieces, send_all

CALL_SECONDS = 10.0
START_SECONDS = 30.0
# CancelRun answers once the run is final.
CANCEL_SECONDS = 30.0
CANCEL_ELSEWHERE_SECONDS = 1.0
# Answered once a picture is brought over, made fit, looked at and recorded.
INPUT_IMAGE_SECONDS = 300.0
# A watch and a download are resumed when their call ends, so this is no limit on either.
STREAM_SECONDS = 600.0
# How often bytes are asked for anew without a single byte of progress.
MAX_BARREN_READS = 3


class OrchestratorClient:
    """Starts, resumes and cancels runs, and brings them pictures."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = orchestrator_pb2_grpc.OrchestratorServiceStub(channel)

    async def start_run(self, start: RunStart) -> Run:
        """Plan and start a run; the same start again is the same run."""
        with remote_errors("orchestrator"):
            answer = await self._stub.StartRun(start_request(start), timeout=START_SECONDS)
        return _run(answer.run)

    async def add_input_image(
        self, run_id: RunId, index: int, chunks: AsyncIterator[bytes]
    ) -> int | None:
        """Give a run a picture it waits for; return its sequence, None when a check refused it.

        Raises also what the chunks raise.
        """

        async def requests() -> AsyncIterator[orchestrator_pb2.AddInputImageRequest]:
            yield orchestrator_pb2.AddInputImageRequest(name=run_id.name, index=index)
            async for chunk in chunks:
                for piece in pieces(chunk):
                    yield orchestrator_pb2.AddInputImageRequest(data=piece)

        with remote_errors("orchestrator"):
            call = self._stub.AddInputImage(timeout=INPUT_IMAGE_SECONDS)
            await send_all(call, requests())
            answer = await call
        return answer.entity.sequence if answer.HasField("entity") else None

    async def resume_run(self, decision: Decision) -> Run:
        """Answer a question a run waits with; the same answer again changes nothing."""
        with remote_errors("orchestrator"):
            answer = await self._stub.ResumeRun(resume_request(decision), timeout=START_SECONDS)
        return _run(answer.run)

    async def queue_place(self, run_id: RunId, timeout_seconds: float = CALL_SECONDS) -> QueuePlace:
        """Tell where a run stands in line. Raises NotFound."""
        request = orchestrator_pb2.GetQueuePositionRequest(name=run_id.name)
        with remote_errors("orchestrator"):
            answer = await self._stub.GetQueuePosition(request, timeout=timeout_seconds)
        return place_of(answer)

    async def pipelines(self) -> tuple[Pipeline, ...]:
        """List the pipelines a run may follow, by name."""
        request = orchestrator_pb2.ListPipelinesRequest()
        with remote_errors("orchestrator"):
            answer = await self._stub.ListPipelines(request, timeout=CALL_SECONDS)
        return tuple(pipeline_of(pipeline) for pipeline in answer.pipelines)

    async def cancel_run(self, run_id: RunId) -> Run:
        """Stop a run and return it in its final state."""
        request = orchestrator_pb2.CancelRunRequest(name=run_id.name)

        async def ask() -> orchestrator_pb2.CancelRunResponse:
            with remote_errors("orchestrator"):
                return await self._stub.CancelRun(request, timeout=CANCEL_SECONDS)

        # A replica that is frozen answers nothing and refuses nothing; any other one can do it.
        answer = await first_answer(ask, after_seconds=CANCEL_ELSEWHERE_SECONDS)
        return _run(answer.run)


class RecorderClient:
    """Reads runs as their readers may see them.

    Args:
        audience: whose views are asked for: student, advanced or research. The one place that
            decides it, for everybody; who is asked for by whom comes with sign-in.
    """

    def __init__(self, channel: grpc.aio.Channel, audience: str) -> None:
        self._audience = value_of(run_pb2.Audience, audience)
        self._stub = recorder_pb2_grpc.RecorderServiceStub(channel)

    async def get_run(self, run_id: RunId) -> Run:
        """Return one run. Raises NotFound."""
        request = recorder_pb2.GetRunRequest(name=run_id.name, audience=self._audience)
        with remote_errors("recorder"):
            answer = await self._stub.GetRun(request, timeout=CALL_SECONDS)
        return _run(answer.run)

    async def get_document(self, run_id: RunId) -> bytes:
        """Return metadata.json as it stands, byte for byte; their view of it to all but research.

        Raises NotFound.
        """
        whole = self._audience == run_pb2.AUDIENCE_RESEARCH
        request = recorder_pb2.GetRunRequest(
            name=run_id.name, include_document=whole, audience=self._audience
        )
        with remote_errors("recorder"):
            answer = await self._stub.GetRun(request, timeout=CALL_SECONDS)
        if whole:
            return answer.document
        return status_document(answer.run, word_of(run_pb2.Audience, self._audience))

    async def check_shown(self, name: EntityName) -> None:
        """Raise PermissionDenied when an entity that is not shown is there for others."""
        if self._audience == run_pb2.AUDIENCE_RESEARCH:
            return
        async with aclosing(self._read(name, 0, 1)) as chunks:
            async for _ in chunks:
                return

    async def watch_run(
        self, run_id: RunId, after_seq: int, *, turns_only: bool = False
    ) -> AsyncGenerator[Event, None]:
        """Yield what happens after a fact until the run is final, or the call ends with an error.

        `turns_only` leaves out what does not tell that it ends or waits. Raises Unavailable or
        DeadlineExceeded when it can be resumed after the last fact yielded.
        """
        request = recorder_pb2.WatchRunRequest(
            name=run_id.name, after_seq=after_seq, audience=self._audience, turns_only=turns_only
        )
        call = self._stub.WatchRun(request, timeout=STREAM_SECONDS)
        try:
            with remote_errors("recorder"):
                async for message in call:
                    event = event_of(run_id, message)
                    if event is not None:
                        yield event
        finally:
            call.cancel()

    async def read_entity(
        self, name: EntityName, offset: int, length: int
    ) -> AsyncGenerator[bytes, None]:
        """Yield exactly `length` bytes from `offset`, in chunks, asking anew after an interruption.

        Raises DataLoss when the bytes are not those recorded, Unavailable when they do not come.
        """
        position, end, barren = offset, offset + length, 0
        while position < end:
            before = position
            try:
                async with aclosing(self._read(name, position, end - position)) as chunks:
                    async for chunk in chunks:
                        position += len(chunk)
                        yield chunk
                if position < end:
                    raise Unavailable("ENTITY_CUT_SHORT", "the recorder sent too little")
            except (Unavailable, DeadlineExceeded):
                barren = 0 if position > before else barren + 1
                if barren >= MAX_BARREN_READS:
                    raise

    async def read_small(self, name: EntityName, size_bytes: int) -> bytes:
        """Return all bytes of a small entity."""
        return b"".join([chunk async for chunk in self.read_entity(name, 0, size_bytes)])

    async def _read(self, name: EntityName, offset: int, limit: int) -> AsyncGenerator[bytes, None]:
        request = recorder_pb2.ReadEntityRequest(
            name=str(name), offset=offset, limit=limit, audience=self._audience
        )
        call = self._stub.ReadEntity(request, timeout=STREAM_SECONDS)
        try:
            with remote_errors("recorder"):
                async for message in call:
                    # Never more than was asked for: the length is already promised to the client.
                    yield message.data[:limit]
                    limit -= min(len(message.data), limit)
        finally:
            call.cancel()


def _run(message: run_pb2.Run) -> Run:
    try:
        return run_of(message)
    except InvalidArgument as error:
        # What a peer says wrong is no mistake of the client.
        raise Internal("MALFORMED_RUN", "a service answered with no proper run") from error
