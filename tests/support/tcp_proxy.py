"""A TCP proxy that can be closed, or freeze like a network that swallows everything."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

_CHUNK_BYTES = 65_536


class TcpProxy:
    """Forwards 127.0.0.1:port to a server until told otherwise; use with ``async with``."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self.port = 0
        self.accepted = 0
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._hold_at: bytes | None = None
        self._held: asyncio.Task[None] | None = None
        self._released = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse new connections and end those there are."""
        assert self._server is not None
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    def freeze(self) -> None:
        """Accept and keep connections, and forward nothing, in neither direction."""
        self._flowing.clear()

    def hold_at(self, text: bytes) -> None:
        """Hold the connection that next sends this text, and no other, until `release`."""
        self._hold_at = text

    @property
    def is_holding(self) -> bool:
        """Whether a connection is held."""
        return self._held is not None

    async def release(self) -> None:
        """Forward what was held; returns when its connection, given up by now, has ended."""
        assert self._held is not None
        self._released.set()
        await asyncio.wait([self._held])

    def thaw(self) -> None:
        """Forward what has waited, and go on."""
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.accepted += 1
        pumps: set[asyncio.Task[None]] = set()
        writers = [writer]
        try:
            await self._flowing.wait()
            there, back = await asyncio.open_connection(*self._target)
            writers.append(back)
            pumps.add(asyncio.create_task(self._pump(reader, back, task)))
            pumps.add(asyncio.create_task(self._pump(there, writer, None)))
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for one in writers:
                one.close()
                with contextlib.suppress(OSError):
                    await one.wait_closed()
            self._connections.discard(task)

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        of_client: asyncio.Task[None] | None,
    ) -> None:
        while data := await source.read(_CHUNK_BYTES):
            if of_client is not None and self._hold_at is not None and self._hold_at in data:
                self._hold_at, self._held = None, of_client
                await self._released.wait()
            await self._flowing.wait()
            sink.write(data)
            await sink.drain()
