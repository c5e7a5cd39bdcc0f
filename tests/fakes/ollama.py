"""A fake Ollama: which models are loaded, and how they are unloaded, as its API documents it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class FakeOllama:
    """`async with fake_ollama() as ollama`; `loaded` are the models on the card."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.asked: list[dict[str, Any]] = []
        # Every answer, instead of the right one.
        self.broken: web.Response | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def ps(self, request: web.Request) -> web.Response:
        """GET /api/ps."""
        if self.broken is not None:
            return web.Response(status=self.broken.status, text=self.broken.text)
        models = [{"name": name, "model": name, "size_vram": 5_000_000_000} for name in self.loaded]
        return web.json_response({"models": models})

    async def generate(self, request: web.Request) -> web.Response:
        """POST /api/generate: without a prompt and with keep_alive 0 it unloads the model."""
        body = await request.json()
        self.asked.append(body)
        if body.get("keep_alive") == 0 and not body.get("prompt"):
            self.loaded.remove(body["model"])
            answer = {"model": body["model"], "response": "", "done": True, "done_reason": "unload"}
            return web.json_response(answer)
        return web.json_response({"error": "not what a test asks for"}, status=400)


@asynccontextmanager
async def fake_ollama() -> AsyncIterator[FakeOllama]:
    """Run one in this process."""
    ollama = FakeOllama()
    app = web.Application()
    app.router.add_get("/api/ps", ollama.ps)
    app.router.add_post("/api/generate", ollama.generate)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ollama.port = runner.addresses[0][1]
        yield ollama
    finally:
        await runner.cleanup()
