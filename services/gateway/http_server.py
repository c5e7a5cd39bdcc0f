"""uvicorn as a server of ours: it listens when told, and leaves signals to the program."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from services.gateway.protocol import BoundedProtocol, ConnectionLimits
from services.kit.errors import Unavailable

KEEP_ALIVE_SECONDS = 60
BACKLOG = 1024
DEFAULT_LIMITS = ConnectionLimits()
_START_SECONDS = 10.0

Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


class HttpServer:
    """Serves one ASGI application.

    Args:
        spawn: gives the serving task an owner, e.g. ``program.add_task``.
    """

    def __init__(
        self, app: ASGIApp, spawn: Spawn, limits: ConnectionLimits = DEFAULT_LIMITS
    ) -> None:
        bounded = type("Protocol", (BoundedProtocol,), {"limits": limits})
        config = uvicorn.Config(
            app,
            http=bounded,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            # X-Forwarded-For of a stranger is no fact about him.
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._uvicorn = _Uvicorn(config)
        self._spawn = spawn
        self._task: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._uvicorn.server_state.connections)

    async def start(self, address: str) -> int:
        """Listen on host:port (port 0: any free one); return the port.

        Raises Unavailable PORT_IN_USE.
        """
        host, _, port = address.rpartition(":")
        listener = _listen(host.strip("[]"), int(port))
        bound: int = listener.getsockname()[1]
        self._task = self._spawn(self._uvicorn.serve(sockets=[listener]), "http")
        async with asyncio.timeout(_START_SECONDS):
            await self._uvicorn.listening.wait()
        return bound

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new requests, give open ones the grace, then cancel them."""
        if self._task is None:
            return
        self._uvicorn.config.timeout_graceful_shutdown = math.ceil(grace_seconds)
        self._uvicorn.should_exit = True
        await asyncio.wait({self._task}, timeout=grace_seconds + 2.0)


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say when it is done."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to the program."""
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets that say they are TCP; without it every answer of two
    # writes waits 40 ms for the client's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Unavailable("PORT_IN_USE", f"cannot listen on {host}:{port}") from error
    listener.setblocking(False)
    return listener
