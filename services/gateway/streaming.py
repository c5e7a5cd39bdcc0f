"""A body of known length that arrives whole or visibly not at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Self

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.kit.errors import ArtlabError
from services.kit.log import facts

log = logging.getLogger(__name__)


class ExactStream(Response):
    """Streams chunks; when they fail midway the connection is cut."""

    def __init__(
        self, first: bytes, rest: AsyncIterator[bytes], status: int, headers: Mapping[str, str]
    ) -> None:
        self.status_code = status
        self.background = None
        self.body = b""
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers.items()
        ]
        self._first = first
        self._rest = rest

    @classmethod
    async def begin(
        cls, chunks: AsyncIterator[bytes], status: int, headers: Mapping[str, str]
    ) -> Self:
        """Wait for the first chunk, so that what fails at once is still an answer."""
        first = await anext(chunks, b"")
        return cls(first, chunks, status, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, the first failure, or until the client has gone."""
        sending = asyncio.ensure_future(self._send(scope, send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            close = getattr(self._rest, "aclose", None)
            if close is not None:
                await close()
        if sending.cancelled() or (error := sending.exception()) is None:
            return
        if not isinstance(error, ArtlabError):
            raise error
        log.warning("a body was cut", extra=facts(reason=error.reason))
        _abort(scope, error)
        # Leave only once the connection is gone: there is no way to end this answer well.
        await _left(receive)

    async def _send(self, scope: Scope, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        await send({"type": "http.response.body", "body": self._first, "more_body": True})
        async for chunk in self._rest:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _abort(scope: Scope, error: ArtlabError) -> None:
    extension = scope.get("extensions", {}).get("artlab.abort")
    if extension is None:
        raise error  # another server closes the connection on an exception
    extension["abort"]()
