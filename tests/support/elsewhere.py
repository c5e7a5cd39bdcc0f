"""A listener that stands for somebody else's machine and counts who comes."""

from __future__ import annotations

import asyncio


class Elsewhere:
    """Counts connections, and closes each at once.

    Its `far_url` has a host that nothing here takes for near, though the system's resolver reads it
    as this machine: 127.1 is the old way to write 127.0.0.1.
    """

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    @property
    def far_url(self) -> str:
        """The base of an API, as one far away is configured."""
        return f"https://127.1:{self.port}/v1"

    async def __aenter__(self) -> Elsewhere:
        self._server = await asyncio.start_server(self._count, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _count(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()
