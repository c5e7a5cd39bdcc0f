"""A real server that checks pictures, with judges of one's choice, and how it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio
from PIL import Image

from artlab.common.v1 import common_pb2
from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.kit.channel import open_channel
from services.kit.streams import send_all
from services.safety.checker import TextChecker
from services.safety.domain.levels import Level
from services.safety.judge.builtin import BuiltinJudge
from services.safety.ports import ImageJudge
from services.safety.servicer import SafetyServicer
from services.safety.workers import Workers
from tests.support import servers
from tests.unit.safety.images import image_checker
from tests.unit.safety.support import safety

Stub: TypeAlias = "safety_pb2_grpc.SafetyServiceAsyncStub"
AsFile = Callable[[Image.Image], tuple[bytes, str]]
AsFilm = Callable[[list[Image.Image]], tuple[bytes, str]]
CHUNK_BYTES = 64 * 1024


@asynccontextmanager
async def listening(*judges: ImageJudge, **options: Any) -> AsyncIterator[str]:
    """A server with these judges of pictures; where it listens."""
    workers = Workers()
    texts = TextChecker(safety(), [BuiltinJudge(safety().rules, workers)], Level.YOUTH, workers)
    async with image_checker(*judges, **options) as images:
        servicer = SafetyServicer(texts, images)

        def register(server: grpc.aio.Server) -> None:
            safety_pb2_grpc.add_SafetyServiceServicer_to_server(servicer, server)

        async with servers.serving("safety", register) as target:
            yield target


@asynccontextmanager
async def serving(*judges: ImageJudge, **options: Any) -> AsyncIterator[Stub]:
    """A stub of such a server."""
    async with listening(*judges, **options) as target, open_channel(target) as channel:
        yield safety_pb2_grpc.SafetyServiceStub(channel)


def messages(data: bytes, media_type: str, **fields: Any) -> Iterator[safety_pb2.CheckImageRequest]:
    yield safety_pb2.CheckImageRequest(
        level=common_pb2.SAFETY_LEVEL_KIDS,
        purpose=safety_pb2.PURPOSE_IMAGE,
        media_type=media_type,
        language="de",
        **fields,
    )
    for start in range(0, len(data), CHUNK_BYTES):
        yield safety_pb2.CheckImageRequest(data=data[start : start + CHUNK_BYTES])


async def check(
    stub: Stub, data: bytes, media_type: str = "image/png", **fields: Any
) -> safety_pb2.CheckImageResponse:
    return await send(stub, messages_of(data, media_type, **fields))


async def messages_of(
    data: bytes, media_type: str, **fields: Any
) -> AsyncIterator[safety_pb2.CheckImageRequest]:
    for message in messages(data, media_type, **fields):
        yield message


async def send(
    stub: Stub, requests: AsyncIterator[safety_pb2.CheckImageRequest]
) -> safety_pb2.CheckImageResponse:
    call: Any = stub.CheckImage(timeout=30)
    await send_all(call, requests)
    answer: safety_pb2.CheckImageResponse = await call
    return answer
