"""What is told of a stream of requests that goes wrong on either side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from artlab.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc
from services.kit.errors import InvalidArgument
from services.kit.streams import CHUNK_BYTES, pieces, read_rest, send_all
from tests.support.eventually import eventually
from tests.support.rpc import refused
from tests.support.servers import channel_to

Request = orchestrator_pb2.AddInputImageRequest
Peer = tuple["Reader", Any]


class Reader(orchestrator_pb2_grpc.OrchestratorServiceServicer):
    """Reads a stream to its end, or refuses it after the first message."""

    def __init__(self) -> None:
        self.refuses = False
        self.received = 0
        self.cancelled = asyncio.Event()

    async def AddInputImage(
        self, requests: AsyncIterator[Request], context: Any
    ) -> orchestrator_pb2.AddInputImageResponse:
        await anext(requests)
        if self.refuses:
            await read_rest(requests)
            raise InvalidArgument("MEDIA_MALFORMED", "no picture")
        try:
            async for request in requests:
                self.received += len(request.data)
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return orchestrator_pb2.AddInputImageResponse()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    reader = Reader()  # type: ignore[abstract]

    def register(server: grpc.aio.Server) -> None:
        orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(reader, server)

    async with channel_to("orchestrator", register) as channel:
        yield reader, orchestrator_pb2_grpc.OrchestratorServiceStub(channel)


async def _requests(count: int, error: Exception | None = None) -> AsyncIterator[Request]:
    yield Request(name="runs/x", index=1)
    for _ in range(count):
        yield Request(data=bytes(CHUNK_BYTES))
    if error is not None:
        raise error


async def test_all_of_it_arrives(peer: Peer) -> None:
    reader, stub = peer
    call = stub.AddInputImage(timeout=10)
    await send_all(call, _requests(40))
    await call
    assert reader.received == 40 * CHUNK_BYTES


@pytest.mark.parametrize("count", [0, 1, 8, 100])
async def test_who_is_refused_while_sending_hears_why(peer: Peer, count: int) -> None:
    reader, stub = peer
    reader.refuses = True
    async with refused("INVALID_ARGUMENT", "MEDIA_MALFORMED"):
        call = stub.AddInputImage(timeout=10)
        await send_all(call, _requests(count))
        await call


async def test_what_the_requests_raise_is_raised_and_the_call_is_cancelled(peer: Peer) -> None:
    reader, stub = peer
    call = stub.AddInputImage(timeout=10)
    with pytest.raises(LookupError, match="gone"):
        await send_all(call, _requests(2, LookupError("gone")))
    assert call.cancelled()
    # The peer does not take the half of it for the whole.
    await eventually(reader.cancelled.is_set)


def test_bytes_are_cut_into_pieces_that_give_them_back() -> None:
    for size in (0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES):
        data = bytes(size)
        found = list(pieces(data))
        assert b"".join(found) == data
        assert all(1 <= len(one) <= CHUNK_BYTES for one in found)
