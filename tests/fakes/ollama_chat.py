"""A scriptable Ollama: chat by its own protocol, and which models it has, loads and fetches.

The script is that of `openai_server`; docs.ollama.com/api says what the lines look like.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import ClassVar

from aiohttp import web

from tests.fakes.openai_server import JSON, FakeOpenAI, Say


@dataclass
class FakeOllamaChat(FakeOpenAI):
    """The server; listens while the block is open."""

    PATH: ClassVar[str] = "/api/chat"
    STREAM_TYPE: ClassVar[str] = "application/x-ndjson"

    # What is in memory; `models` is what is on disk.
    loaded: list[str] = field(default_factory=list)
    # What a fetch brings, and the lines it tells meanwhile.
    fetched: list[str] = field(default_factory=list)
    fetch_lines: list[JSON] = field(default_factory=list)
    # Set, it holds up loading a model.
    loading_gate: asyncio.Event | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/api/tags", self._tags)
        router.add_get("/api/ps", self._ps)
        router.add_post("/api/pull", self._pull)

    def piece(self, text: str, model: str, refusal: str | None = None) -> bytes:
        return _line({"model": model, "message": _said(text), "done": False})

    def ending(self, line: Say) -> bytes:
        if line.finish is None:
            return b""
        end: JSON = {"model": line.model, "message": _said(""), "done": True}
        return _line({**end, "done_reason": line.finish, "eval_count": 2})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if body["messages"]:
            return await super()._answer(request)
        if self.loading_gate is not None:
            await self.loading_gate.wait()
        self.requests.append(self.asked(body, dict(request.headers)))
        self.loaded.append(body["model"])
        told = {"model": body["model"], "message": _said(""), "done_reason": "load", "done": True}
        return web.Response(body=_line(told), headers={"Content-Type": self.STREAM_TYPE})

    async def _tags(self, request: web.Request) -> web.Response:
        return web.json_response({"models": [_listed(name) for name in self.models]})

    async def _ps(self, request: web.Request) -> web.Response:
        return web.json_response({"models": [_listed(name) for name in self.loaded]})

    async def _pull(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.fetched.append(body["model"])
        if self.fetch_lines and self.fetch_lines[-1].get("status") == "success":
            self.models.append(body["model"])
        data = b"".join(map(_line, self.fetch_lines))
        return web.Response(body=data, headers={"Content-Type": self.STREAM_TYPE})


def _said(text: str) -> JSON:
    return {"role": "assistant", "content": text}


def _listed(name: str) -> JSON:
    full = name if ":" in name else f"{name}:latest"
    return {"name": full, "model": full, "size": 1}


def _line(data: JSON) -> bytes:
    return json.dumps(data).encode() + b"\n"
