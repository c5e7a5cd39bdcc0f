"""A scriptable OpenAI-compatible server that can misbehave, over real sockets.

    async with FakeOpenAI() as server:
        server.script(Say("eins ", "zwei"), Status(500), Never())
        ... server.base_url ...
        server.requests[0].system

Each request takes the next line of the script; when the script is over, the last line is repeated.
It serves `POST /v1/chat/completions`, streamed or not as the request asks.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Self

from aiohttp import web

JSON = dict[str, Any]


@dataclass(frozen=True)
class Say:
    """A good answer, in these pieces."""

    pieces: tuple[str, ...]
    model: str = "fake-model"
    finish: str | None = "stop"
    # How a stream ends after its pieces.
    done: bool = True
    # Wait for this before each piece but the first.
    gate: asyncio.Event | None = None
    refusal: str | None = None

    def __init__(self, *pieces: str, **options: Any) -> None:
        object.__setattr__(self, "pieces", pieces)
        for name, value in options.items():
            if name not in self.__dataclass_fields__:
                raise TypeError(name)
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Status:
    """An HTTP error with a JSON body."""

    code: int
    headers: tuple[tuple[str, str], ...] = ()
    body: JSON | None = None


@dataclass(frozen=True)
class Body:
    """Status 200 with these bytes, whatever they are."""

    data: bytes
    content_type: str = "text/event-stream"


@dataclass(frozen=True)
class Endless:
    """A stream of so many bytes; in one line, or as good chunks of 1000 characters each."""

    size_bytes: int
    one_line: bool


@dataclass(frozen=True)
class GzipBomb:
    """A compressed answer that unpacks to so many bytes."""

    size_bytes: int


@dataclass(frozen=True)
class Never:
    """Accepts the request and never answers; `after_pieces` are streamed first."""

    after_pieces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drop:
    """Closes the connection, after these pieces."""

    after_pieces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Redirect:
    """Sends the client elsewhere."""

    to: str


@dataclass(frozen=True)
class Answering:
    """What is said depends on what was asked."""

    make: Callable[[Asked], Say]


Line = Say | Status | Body | Endless | GzipBomb | Never | Drop | Redirect | Answering


@dataclass
class Asked:
    """What a request said."""

    body: JSON
    headers: dict[str, str]

    @property
    def system(self) -> str:
        """The instructions."""
        return self._of("system")

    @property
    def user(self) -> str:
        """The text."""
        return self._of("user")

    def _of(self, role: str) -> str:
        return "\n".join(m["content"] for m in self.body["messages"] if m["role"] == role)


@dataclass
class FakeOpenAI:
    """The server; listens while the block is open.

    Fakes of other protocols say how theirs differs.
    """

    PATH: ClassVar[str] = "/v1/chat/completions"
    STREAM_TYPE: ClassVar[str] = "text/event-stream"

    requests: list[Asked] = field(default_factory=list)
    # Set when a client went away before its answer was complete.
    abandoned: asyncio.Event = field(default_factory=asyncio.Event)
    # How many requests are being answered now, and at most at one time.
    open_now: int = 0
    open_most: int = 0
    sent_bytes: int = 0
    # What it has, and how often it says that it is still loading that.
    models: list[str] = field(default_factory=lambda: ["fake-model"])
    loading: int = 0
    port: int = 0
    _script: list[Line] = field(default_factory=lambda: [Say("Guten ", "Tag")])
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """What a client is configured with."""
        return f"http://127.0.0.1:{self.port}/v1"

    def script(self, *lines: Line) -> None:
        """Say what the next requests get."""
        self._script = list(lines)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_post(self.PATH, self._answer)
        self.add_routes(app.router)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
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

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(self.asked(body, dict(request.headers)))
        line = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        self.open_now += 1
        self.open_most = max(self.open_most, self.open_now)
        try:
            return await self._play(request, body, line)
        except (ConnectionError, asyncio.CancelledError):
            self.abandoned.set()
            raise
        finally:
            self.open_now -= 1

    async def _play(self, request: web.Request, body: JSON, line: Line) -> web.StreamResponse:
        if isinstance(line, Answering):
            line = line.make(self.requests[-1])
        if isinstance(line, Status):
            error = line.body or {"error": {"message": "fake trouble", "type": "fake"}}
            return web.json_response(error, status=line.code, headers=dict(line.headers))
        if isinstance(line, Redirect):
            return web.Response(status=307, headers={"Location": line.to})
        if isinstance(line, Body):
            return web.Response(body=line.data, headers={"Content-Type": line.content_type})
        if isinstance(line, GzipBomb):
            data = gzip.compress(b"data: " + b"x" * line.size_bytes)
            kind = {"Content-Type": self.STREAM_TYPE, "Content-Encoding": "gzip"}
            return web.Response(body=data, headers=kind)
        if isinstance(line, Say) and not body.get("stream"):
            return web.json_response(_whole(line))
        response = web.StreamResponse(headers={"Content-Type": self.STREAM_TYPE})
        if isinstance(line, Never) and not line.after_pieces:
            await self._over.wait()
            return response
        if isinstance(line, Drop) and not line.after_pieces:
            assert request.transport is not None
            request.transport.abort()
            return response
        await response.prepare(request)
        await self._stream(request, response, line)
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse, line: Line) -> None:
        if isinstance(line, Endless):
            await self._endless(response, line)
        elif isinstance(line, Never | Drop):
            await response.write(self.beginning("fake-model"))
            for piece in line.after_pieces:
                await response.write(self.piece(piece, "fake-model"))
            if isinstance(line, Never):
                await self._over.wait()
            assert request.transport is not None
            request.transport.abort()
        elif isinstance(line, Say):
            await response.write(self.beginning(line.model))
            for number, piece in enumerate(line.pieces):
                if number and line.gate is not None:
                    await line.gate.wait()
                await response.write(self.piece(piece, line.model, line.refusal))
            await response.write(self.ending(line))

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """What else it serves."""
        router.add_get("/v1/models", self._list)

    def asked(self, body: JSON, headers: dict[str, str]) -> Asked:
        """What a request said."""
        return Asked(body, headers)

    def beginning(self, model: str) -> bytes:
        """What comes before the pieces."""
        return b""

    def piece(self, text: str, model: str, refusal: str | None = None) -> bytes:
        """One piece of an answer."""
        return _event(_chunk(text, model, None, refusal))

    def ending(self, line: Say) -> bytes:
        """What comes after the pieces."""
        said = b"" if line.finish is None else _event(_chunk(None, line.model, line.finish))
        return said + (b"data: [DONE]\n\n" if line.done else b"")

    async def _list(self, request: web.Request) -> web.Response:
        if self.loading:
            error = {"message": "Loading model", "type": "unavailable_error", "code": 503}
            self.loading -= 1
            return web.json_response({"error": error}, status=503)
        models = [
            {"id": name, "object": "model", "created": 1, "owned_by": "fake"}
            for name in self.models
        ]
        return web.json_response({"object": "list", "data": models})

    async def _endless(self, response: web.StreamResponse, line: Endless) -> None:
        if line.one_line:
            piece = b"x" * 65_536
            await response.write(b"data: ")
        else:
            piece = self.piece("wort " * 200, "fake-model")
        while self.sent_bytes < line.size_bytes:
            await response.write(piece)
            self.sent_bytes += len(piece)


def _event(data: JSON) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _chunk(content: str | None, model: str, finish: str | None, refusal: str | None = None) -> JSON:
    delta: JSON = {} if content is None else {"role": "assistant", "content": content}
    if refusal is not None:
        delta["refusal"] = refusal
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def _whole(line: Say) -> JSON:
    message = {"role": "assistant", "content": "".join(line.pieces), "refusal": line.refusal}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": line.model,
        "choices": [{"index": 0, "message": message, "finish_reason": line.finish}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
