"""artlab.media.v1.MediaService: parse, call one function, translate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc.aio

from artlab.media.v1 import media_pb2, media_pb2_grpc
from services.kit.ids import UploadName
from services.media.domain.request import Recorded
from services.media.jobs import Jobs
from services.media.translate import (
    Defaults,
    list_message,
    parse_generate,
    progress_message,
    result_message,
)

# Seconds a call may take; a job has its config's own deadline.
CAPS = {"GenerateMedia": 3660.0, "CancelMedia": 30.0, "ListOutputConfigs": 30.0}

Context = grpc.aio.ServicerContext[Any, Any]


class MediaServicer(media_pb2_grpc.MediaServiceServicer):
    """The service as callers see it."""

    def __init__(self, jobs: Jobs, defaults: Defaults) -> None:
        self._jobs = jobs
        self._defaults = defaults

    async def GenerateMedia(
        self, request: media_pb2.GenerateMediaRequest, context: Context
    ) -> AsyncIterator[media_pb2.GenerateMediaResponse]:
        """Run or join one job."""
        parsed = parse_generate(request)
        self._jobs.config(parsed.output_config).values(parsed.parameters)
        async with aclosing(self._jobs.generate(parsed)) as updates:
            async for update in updates:
                if isinstance(update, Recorded):
                    yield result_message(update)
                else:
                    yield progress_message(update, parsed.output_index)

    async def CancelMedia(
        self, request: media_pb2.CancelMediaRequest, context: Context
    ) -> media_pb2.CancelMediaResponse:
        """Stop one job."""
        upload = UploadName.parse(request.upload)
        return media_pb2.CancelMediaResponse(cancelled=await self._jobs.cancel(upload))

    async def ListOutputConfigs(
        self, request: media_pb2.ListOutputConfigsRequest, context: Context
    ) -> media_pb2.ListOutputConfigsResponse:
        """Every output config, and whether it can run."""
        return list_message(await self._jobs.availability(), self._defaults)
