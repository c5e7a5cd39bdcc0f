"""Real gRPC servers on real sockets, inside the test's process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio

from services.kit.channel import open_channel
from services.kit.server import GrpcServer


@asynccontextmanager
async def serving(
    service: str,
    register: Callable[[grpc.aio.Server], Any],
    *,
    caps: Mapping[str, float] | None = None,
) -> AsyncIterator[str]:
    """Serve what `register` adds (as in `__main__`, with all interceptors); yields host:port."""
    server = GrpcServer(service, caps=caps)
    register(server.grpc)
    port = await server.start("127.0.0.1:0")
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0.2)


@asynccontextmanager
async def channel_to(
    service: str,
    register: Callable[[grpc.aio.Server], Any],
    *,
    caps: Mapping[str, float] | None = None,
) -> AsyncIterator[grpc.aio.Channel]:
    """Like `serving`, with an open channel to it."""
    async with serving(service, register, caps=caps) as target, open_channel(target) as channel:
        yield channel
