"""artlab.media.v1.MediaService: parse, call one function, translate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc.aio

from artlab.media.v1 import media_pb2, media_pb2_grpc
from services.kit.ids import UploadName
from services.media.backend_list import BackendList
from services.media.domain.request import Result
from services.media.jobs import Jobs
from services.media.pictures import Pictures
from services.media.translate import (
    Defaults,
    list_message,
    news_message,
    parse_generate,
    picture_messages,
    result_message,
)
from services.media.translate_backends import backends_message, instance_message, parse_draining

# Seconds a call may take; a job has its config's own deadline.
CAPS = {
    "GenerateMedia": 3660.0,
    "CancelMedia": 30.0,
    "ListOutputConfigs": 30.0,
    "ListBackends": 30.0,
    "SetInstanceDraining": 30.0,
    "PrepareImage": 120.0,
}

Context = grpc.aio.ServicerContext[Any, Any]


class MediaServicer(media_pb2_grpc.MediaServiceServicer):
    """The service as callers see it."""

    def __init__(
        self, jobs: Jobs, defaults: Defaults, backends: BackendList, pictures: Pictures
    ) -> None:
        self._jobs = jobs
        self._defaults = defaults
        self._backends = backends
        self._pictures = pictures

    async def GenerateMedia(
        self, request: media_pb2.GenerateMediaRequest, context: Context
    ) -> AsyncIterator[media_pb2.GenerateMediaResponse]:
        """Run or join one job."""
        parsed = parse_generate(request)
        config = self._jobs.config(parsed.output_config)
        config.values(parsed.parameters)
        config.check_images(parsed.input_images)
        async with aclosing(self._jobs.generate(parsed)) as updates:
            async for update in updates:
                if isinstance(update, Result):
                    yield result_message(update)
                else:
                    yield news_message(update, parsed.output_index)

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

    async def ListBackends(
        self, request: media_pb2.ListBackendsRequest, context: Context
    ) -> media_pb2.ListBackendsResponse:
        """Every backend and its instances."""
        return backends_message(await self._backends.statuses())

    async def SetInstanceDraining(
        self, request: media_pb2.SetInstanceDrainingRequest, context: Context
    ) -> media_pb2.SetInstanceDrainingResponse:
        """Take an instance out of service, or put it back."""
        backend, url = parse_draining(request)
        status = await self._backends.set_draining(backend, url, request.draining)
        return media_pb2.SetInstanceDrainingResponse(instance=instance_message(status))

    async def PrepareImage(
        self, request_iterator: AsyncIterator[media_pb2.PrepareImageRequest], context: Context
    ) -> AsyncIterator[media_pb2.PrepareImageResponse]:
        """Make a person's picture fit to be recorded."""
        chunks = (message.data async for message in request_iterator)
        for message in picture_messages(await self._pictures.prepare(chunks)):
            yield message
