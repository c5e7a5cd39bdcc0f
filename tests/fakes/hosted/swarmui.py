"""SwarmUI: sessions, the websocket of a generation, pictures to fetch.

After the docs in its repository (API.md, T2IAPI.md, BasicAPIFeatures.md): `error_id`
invalid_session_id, frames `status`, `gen_progress` with previews, `image`, `discard_indices`, the
cookie `swarm_user_token`, InterruptAll for one session.
"""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field

from aiohttp import web

from tests.fakes.hosted.server import (
    JSON,
    Cut,
    Drop,
    Empty,
    FakeApi,
    Garbage,
    Good,
    Never,
    Oversize,
    Status,
    abort,
    refusal,
)

PREVIEW = b"\xff\xd8\xff\xe0 a preview \xff\xd9"
NAME = "View/local/raw/2024-01-02/0304-a photo-1.png"


@dataclass
class FakeSwarmUI(FakeApi):
    """The routes a generation needs."""

    prefix = ""
    models: list[str] = field(default_factory=lambda: ["Official/sd_xl_base_1.0.safetensors"])
    sessions: set[str] = field(default_factory=set)
    interrupted: set[str] = field(default_factory=set)
    # The name in the answer; a data URL when SwarmUI does not save pictures.
    image: str = NAME
    # Frames of progress before the picture.
    percents: tuple[object, ...] = (0.2, 0.6, 0.4, 0.9)
    preview: bytes = PREVIEW
    # What it says instead of making the picture.
    failure: str = ""
    listings: int = 0
    # Sessions are forgotten as often before they are good.
    forgetful: int = 0
    _oversize: int = 0

    def routes(self) -> list[web.RouteDef]:
        """The API and its files."""
        return [
            web.post("/API/GetNewSession", self._new_session),
            web.post("/API/ListT2IParams", self._parameters),
            web.post("/API/InterruptAll", self._interrupt),
            web.get("/API/GenerateText2ImageWS", self._generate),
            web.get("/View/{path:.*}", self._view),
        ]

    def authorized(self, request: web.Request) -> bool:
        """Whether the token is right."""
        return not self.key or request.cookies.get("swarm_user_token") == self.key

    async def _new_session(self, request: web.Request) -> web.StreamResponse:
        if not self.authorized(request):
            return web.json_response({"error_id": "invalid_login"})
        session = f"9D3534E30DA3{len(self.sessions)}"
        self.sessions.add(session)
        return web.json_response({"session_id": session, "user_id": "local", "version": "0.9.7"})

    async def _parameters(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.listings += 1
        if body["session_id"] not in self.sessions:
            return web.json_response({"error_id": "invalid_session_id"})
        return web.json_response({"list": [], "models": {"Stable-Diffusion": self.models}})

    async def _interrupt(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        assert body["other_sessions"] is False
        self.interrupted.add(body["session_id"])
        self.stopped.set()
        return web.json_response({"success": True})

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        if not self.authorized(request):
            return refusal(Status(401), {"error_id": "invalid_login"})
        line = self.next_line()
        if isinstance(line, Status):
            return refusal(line, {"error": "fake trouble"})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        asked = json.loads(await socket.receive_str())
        self.requests.append(asked)
        self.headers.append(request.headers)
        if self.forgetful > 0 or asked["session_id"] not in self.sessions:
            self.forgetful -= 1
            await socket.send_json({"error_id": "invalid_session_id"})
            await socket.close()
            return socket
        self.begin()
        await socket.send_json({"status": {"waiting_gens": 1, "live_gens": 0}})
        if isinstance(line, Drop):
            return abort(request)
        await self._progress(socket)
        if self.failure:
            await socket.send_json({"error": self.failure})
        if isinstance(line, Cut):
            return abort(request)
        if isinstance(line, Garbage):
            await socket.send_str("<html>busy</html>")
        await self._end(socket, asked, line)
        await socket.close()
        return socket

    async def _progress(self, socket: web.WebSocketResponse) -> None:
        preview = "data:image/jpeg;base64," + base64.b64encode(self.preview).decode()
        for percent in self.percents:
            told = {"batch_index": "0", "overall_percent": percent, "preview": preview}
            await socket.send_json({"gen_progress": told})

    async def _end(self, socket: web.WebSocketResponse, asked: JSON, line: object) -> None:
        if isinstance(line, Good | Never) and (isinstance(line, Never) or line.gate is not None):
            gate = asyncio.Event() if isinstance(line, Never) else line.gate
            assert gate is not None
            waiting = asyncio.ensure_future(gate.wait())
            left = asyncio.ensure_future(socket.receive())
            await asyncio.wait({waiting, left}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            left.cancel()
            if not gate.is_set():
                return
        if isinstance(line, Oversize):
            self._oversize = line.size_bytes
        if not isinstance(line, Empty):
            image = {"image": self.image, "batch_index": "0", "metadata": "{}"}
            await socket.send_json({"image": image})
        await socket.send_json({"discard_indices": []})

    async def _view(self, request: web.Request) -> web.StreamResponse:
        if not self.authorized(request) or request.path != "/" + NAME:
            return web.Response(status=404)
        if self._oversize:
            return await self.flood(request, self.picture, self._oversize, "image/png")
        return await self.answer(request, Good(), self.picture, "image/png")
