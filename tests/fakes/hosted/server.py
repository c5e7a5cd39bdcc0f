"""What the fakes of hosted APIs share: a script of answers, and what was asked.

    async with FakeReplicate() as api:
        api.script(Status(429, headers={"Retry-After": "3"}), Good())
        ... api.base_url ...
        assert api.generated == 1

Each request for a generation takes the next line; the last line is repeated.
"""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.support.pictures import picture

JSON = dict[str, Any]
KEY = "sk-fake-0123456789-secret"


@dataclass(frozen=True)
class Good:
    """Makes the picture, once `gate` is set if there is one."""

    gate: asyncio.Event | None = None


@dataclass(frozen=True)
class Status:
    """An HTTP error; without a body the API's usual one."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: JSON | None = None


@dataclass(frozen=True)
class Never:
    """Takes the request and never answers."""


@dataclass(frozen=True)
class Drop:
    """Does the work, and the connection breaks before the answer."""


@dataclass(frozen=True)
class Cut:
    """Does the work, and the connection breaks in the middle of the answer."""


@dataclass(frozen=True)
class Oversize:
    """Answers with so many bytes, where the picture is."""

    size_bytes: int


@dataclass(frozen=True)
class Garbage:
    """Status 200 and no JSON, or no picture."""

    body: bytes = b"<html>busy</html>"
    content_type: str = "text/html"


@dataclass(frozen=True)
class Empty:
    """Ends well and has no picture."""


@dataclass(frozen=True)
class Blocked:
    """The API's filter says no."""


Line = Good | Status | Never | Drop | Cut | Oversize | Garbage | Empty | Blocked


@dataclass
class FakeApi:
    """A server; listens while the block is open."""

    key: str = KEY
    picture: bytes = field(default_factory=lambda: picture(200_000, 3))
    # Bodies of the requests for a generation.
    requests: list[JSON] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    # Generations that were begun and would be paid for.
    generated: int = 0
    # Set when the work was stopped by the client.
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    # Set when a generation was begun.
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    sent_bytes: int = 0
    port: int = 0
    _script: list[Line] = field(default_factory=lambda: [Good()])
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """What a client is configured with."""
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    @property
    @abstractmethod
    def prefix(self) -> str:
        """The path below which the API is."""

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """What is served."""

    def script(self, *lines: Line) -> None:
        """Say what the next requests get."""
        self._script = list(lines)

    def next_line(self) -> Line:
        """The line for this request."""
        return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, shutdown_timeout=0.2, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def authorized(self, request: web.Request) -> bool:
        """Whether the key is right; none is needed when ours is empty."""
        return not self.key or request.headers.get("Authorization") == f"Bearer {self.key}"

    async def take(self, request: web.Request) -> JSON:
        """Note what a generation was asked with."""
        body: JSON = await request.json()
        self.requests.append(body)
        self.headers.append(request.headers)
        return body

    def begin(self) -> None:
        """A generation is begun."""
        self.generated += 1
        self.begun.set()

    async def wait(self, gate: asyncio.Event | None) -> None:
        """Until the gate opens, or for ever; whoever goes away meanwhile stopped the work."""
        try:
            await (self._over if gate is None else gate).wait()
        except asyncio.CancelledError:
            self.stopped.set()
            raise

    async def answer(
        self, request: web.Request, line: Line, body: bytes, content_type: str
    ) -> web.StreamResponse:
        """Answer a generation that ended well, as far as the line lets it."""
        if isinstance(line, Drop):
            return abort(request)
        response = web.StreamResponse(headers={"Content-Type": content_type})
        if isinstance(line, Garbage):
            body, response.content_type = line.body, line.content_type
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: len(body) // 2] if isinstance(line, Cut) else body)
        self.sent_bytes += len(body)
        return abort(request) if isinstance(line, Cut) else response

    async def flood(
        self, request: web.Request, start: bytes, size_bytes: int, content_type: str
    ) -> web.StreamResponse:
        """Send so many bytes, as far as they are taken."""
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        await response.write(start)
        piece = b"A" * 65_536
        while self.sent_bytes < size_bytes:
            await response.write(piece)
            self.sent_bytes += len(piece)
        return response


def abort(request: web.Request) -> web.Response:
    """Break the connection."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def refusal(line: Status, usual: JSON) -> web.Response:
    """An HTTP error."""
    body = usual if line.body is None else line.body
    return web.Response(
        status=line.code,
        body=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **line.headers},
    )
