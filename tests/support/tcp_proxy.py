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
        self._freeze_at: bytes | None = None
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

    def freeze_at(self, text: bytes) -> None:
        """Freeze when a client next sends this text; it gets through after the thaw."""
        self._freeze_at = text

    @property
    def is_frozen(self) -> bool:
        """Whether nothing gets through."""
        return not self._flowing.is_set()

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
            pumps.add(asyncio.create_task(self._pump(reader, back, is_client=True)))
            pumps.add(asyncio.create_task(self._pump(there, writer, is_client=False)))
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
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_client: bool
    ) -> None:
        while data := await source.read(_CHUNK_BYTES):
            if is_client and self._freeze_at is not None and self._freeze_at in data:
                self._freeze_at = None
                self.freeze()
            await self._flowing.wait()
            sink.write(data)
            await sink.drain()
