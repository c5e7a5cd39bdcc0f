"""The recorder's RPCs: parse, call one function, translate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing

import grpc.aio

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.kit.ids import EntityName, RunId, UploadName, parse_pseudonym
from services.kit.interceptors import Context
from services.recorder.hints import check_hints
from services.recorder.parse import (
    MAX_INT64,
    MAX_OUTPUTS,
    MAX_STAGE,
    parse_chunk,
    parse_number,
    parse_output_end,
    parse_plan,
    parse_run_end,
    parse_small_entity,
    parse_step,
)
from services.recorder.recorder import Recorder
from services.recorder.translate import (
    entity_message,
    event_message,
    output_message,
    progress_message,
    run_message,
)
from services.recorder.writing import Chunk

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
CAPS: Mapping[str, float] = {"WatchRun": 3600.0, "WriteEntity": 3600.0, "ReadEntity": 3600.0}


class RecorderServicer(recorder_pb2_grpc.RecorderServiceServicer):
    """See recorder.proto."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def CreateRun(
        self, request: pb.CreateRunRequest, context: Context
    ) -> pb.CreateRunResponse:
        """See recorder.proto."""
        run_id = RunId.parse(request.request_id, "request_id")
        run = await self._recorder.create_run(run_id, parse_plan(request.run))
        return pb.CreateRunResponse(run=run_message(run))

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.GetRunResponse:
        """See recorder.proto."""
        run_id = RunId.parse_name(request.name)
        run = await self._recorder.get_run(run_id)
        document = await self._recorder.read_document(run_id) if request.include_document else b""
        return pb.GetRunResponse(run=run_message(run), document=document)

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        """See recorder.proto."""
        size = parse_number(request.page_size, "page_size", most=2**31 - 1) or DEFAULT_PAGE_SIZE
        user_id = parse_pseudonym(request.user_id) if request.user_id else ""
        runs, token = await self._recorder.list_runs(
            min(size, MAX_PAGE_SIZE), request.page_token, user_id
        )
        return pb.ListRunsResponse(
            runs=[run_message(run, with_entities=False) for run in runs], next_page_token=token
        )

    async def DeleteRun(
        self, request: pb.DeleteRunRequest, context: Context
    ) -> pb.DeleteRunResponse:
        """See recorder.proto."""
        await self._recorder.delete_run(RunId.parse_name(request.name))
        return pb.DeleteRunResponse()

    async def WatchRun(
        self, request: pb.WatchRunRequest, context: Context
    ) -> AsyncIterator[pb.WatchRunResponse]:
        """See recorder.proto."""
        run_id = RunId.parse_name(request.name)
        after_seq = parse_number(request.after_seq, "after_seq", most=MAX_INT64)
        # Closed at once when the client leaves, not when the garbage collector comes by.
        async with aclosing(self._recorder.watch(run_id, after_seq)) as updates:
            async for run, event, hint in updates:
                if event is not None:
                    yield pb.WatchRunResponse(event=event_message(run, event))
                elif isinstance(hint, run_pb2.Hint):
                    yield pb.WatchRunResponse(hint=hint)

    async def SetProgress(
        self, request: pb.SetProgressRequest, context: Context
    ) -> pb.SetProgressResponse:
        """See recorder.proto."""
        progress = await self._recorder.set_progress(
            RunId.parse_name(request.name),
            parse_number(request.stage, "stage", most=MAX_STAGE),
            parse_step(request.step),
            parse_number(request.output_index, "output_index", most=MAX_OUTPUTS),
        )
        return pb.SetProgressResponse(progress=progress_message(progress))

    async def PublishHints(
        self, request: pb.PublishHintsRequest, context: Context
    ) -> pb.PublishHintsResponse:
        """See recorder.proto."""
        run_id = RunId.parse_name(request.name)
        await self._recorder.publish_hints(run_id, check_hints(request.hints))
        return pb.PublishHintsResponse()

    async def FinalizeOutput(
        self, request: pb.FinalizeOutputRequest, context: Context
    ) -> pb.FinalizeOutputResponse:
        """See recorder.proto."""
        run_id = RunId.parse_name(request.name)
        output = await self._recorder.finalize_output(run_id, *parse_output_end(request.output))
        return pb.FinalizeOutputResponse(output=output_message(output))

    async def RecordEntity(
        self, request: pb.RecordEntityRequest, context: Context
    ) -> pb.RecordEntityResponse:
        """See recorder.proto."""
        name = UploadName.parse(request.upload)
        draft = parse_small_entity(request)
        entity = await self._recorder.record_entity(name, draft, request.data)
        return pb.RecordEntityResponse(entity=entity_message(name.run, entity))

    async def WriteEntity(
        self, requests: AsyncIterator[pb.WriteEntityRequest], context: Context
    ) -> pb.WriteEntityResponse:
        """See recorder.proto."""
        names: list[UploadName] = []

        async def chunks() -> AsyncIterator[Chunk]:
            async for request in requests:
                chunk = parse_chunk(request)
                names.extend([] if chunk.name is None or names else [chunk.name])
                yield chunk

        written = await self._recorder.write_entity(chunks())
        entity = written.entity
        return pb.WriteEntityResponse(
            committed_size=written.committed_size,
            entity=None if entity is None else entity_message(names[0].run, entity),
        )

    async def GetUpload(
        self, request: pb.GetUploadRequest, context: Context
    ) -> pb.GetUploadResponse:
        """See recorder.proto."""
        name = UploadName.parse(request.upload)
        size, entity = await self._recorder.get_upload(name)
        return pb.GetUploadResponse(
            committed_size=size,
            entity=None if entity is None else entity_message(name.run, entity),
        )

    async def DeleteUpload(
        self, request: pb.DeleteUploadRequest, context: Context
    ) -> pb.DeleteUploadResponse:
        """See recorder.proto."""
        await self._recorder.delete_upload(UploadName.parse(request.upload))
        return pb.DeleteUploadResponse()

    async def ReadEntity(
        self, request: pb.ReadEntityRequest, context: Context
    ) -> AsyncIterator[pb.ReadEntityResponse]:
        """See recorder.proto."""
        name = EntityName.parse(request.name)
        offset = parse_number(request.offset, "offset", most=MAX_INT64)
        limit = parse_number(request.limit, "limit", most=MAX_INT64)
        async with aclosing(self._recorder.read_entity(name, offset, limit)) as chunks:
            async for chunk in chunks:
                yield pb.ReadEntityResponse(data=chunk)

    async def FinalizeRun(
        self, request: pb.FinalizeRunRequest, context: Context
    ) -> pb.FinalizeRunResponse:
        """See recorder.proto."""
        run_id = RunId.parse_name(request.name)
        run = await self._recorder.finalize_run(run_id, *parse_run_end(request))
        return pb.FinalizeRunResponse(run=run_message(run))


def register(recorder: Recorder, server: grpc.aio.Server) -> None:
    """Add the recorder's RPCs to a server."""
    recorder_pb2_grpc.add_RecorderServiceServicer_to_server(RecorderServicer(recorder), server)
