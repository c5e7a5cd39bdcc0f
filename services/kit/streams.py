"""Streams of requests, so that what goes wrong on either side is told as what it is.

grpc.aio, given an iterator, turns whatever the iterator raises into a cancelled call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

from services.kit.errors import ArtlabError

CHUNK_BYTES = 256 * 1024
REST_SECONDS = 1.0
REST_BYTES = 64 * 1024 * 1024


async def send_all(call: Any, requests: AsyncIterator[Any]) -> None:
    """Write the requests to a grpc.aio call and close our side of it.

    Returns early when the peer has answered already: its answer, or its error, is in the call.
    Raises what the requests raise, and then the call is cancelled.
    """
    try:
        async for request in requests:
            await call.write(request)
        await call.done_writing()
    except asyncio.InvalidStateError:
        # The call is over; reading it tells how it ended.
        return
    except BaseException:
        call.cancel()
        raise


async def read_rest(requests: AsyncIterator[Any]) -> None:
    """Read and drop what a client still sends, for a second and 64 MiB, before it is refused.

    A client of grpc.aio that is about to write when the refusal comes takes it for INTERNAL.
    """
    left = REST_BYTES
    with suppress(TimeoutError, ArtlabError):
        async with asyncio.timeout(REST_SECONDS):
            while left > 0 and (request := await anext(requests, None)) is not None:
                left -= request.ByteSize()


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut bytes into messages that every service takes; none for no bytes."""
    for start in range(0, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]
