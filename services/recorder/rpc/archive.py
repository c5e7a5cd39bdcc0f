"""Runs out of the store as files, and back in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from artlab.recorder.v1 import recorder_pb2 as pb
from services.kit.interceptors import Context
from services.recorder.parse_export import parse_wish
from services.recorder.recorder import Recorder


class ArchiveRpcs:
    """Parse, call one function, translate; see recorder.proto."""

    _recorder: Recorder

    async def ExportRuns(
        self, request: pb.ExportRunsRequest, context: Context
    ) -> AsyncIterator[pb.ExportRunsResponse]:
        """See recorder.proto."""
        async with aclosing(self._recorder.export_runs(parse_wish(request))) as pieces:
            async for piece in pieces:
                yield pb.ExportRunsResponse(data=piece)

    async def ImportRuns(
        self, requests: AsyncIterator[pb.ImportRunsRequest], context: Context
    ) -> pb.ImportRunsResponse:
        """See recorder.proto."""

        async def chunks() -> AsyncIterator[bytes]:
            async for request in requests:
                yield request.data

        done = await self._recorder.import_runs(chunks())
        return pb.ImportRunsResponse(
            imported=[run_id.name for run_id in done.imported],
            skipped=[run_id.name for run_id in done.skipped],
        )
