"""Hugging Face inference, text to image: JSON in, raw bytes out, 503 while a model loads.

After huggingface.co/docs (task text-to-image, `inputs` and `parameters`) and the 503 answers it
gives: `error` and `estimated_time` in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from tests.fakes.hosted.server import (
    Blocked,
    Empty,
    FakeApi,
    Good,
    Never,
    Oversize,
    Status,
    refusal,
)


@dataclass
class FakeHuggingFace(FakeApi):
    """POST /hf-inference/models/{owner}/{name}."""

    prefix = "/hf-inference/models"
    path: str = ""

    def routes(self) -> list[web.RouteDef]:
        """One route."""
        return [web.post("/hf-inference/models/{owner}/{name}", self._generate)]

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        asked = await self.take(request)
        self.path = request.path
        if not self.authorized(request):
            return refusal(Status(401), {"error": f"Invalid credentials {self.key}"})
        line = self.next_line()
        if isinstance(line, Status):
            return refusal(line, {"error": asked["inputs"]})
        if isinstance(line, Blocked):
            return refusal(Status(400), {"error": {"code": "content_policy_violation"}})
        self.begin()
        if isinstance(line, Never | Good) and (isinstance(line, Never) or line.gate is not None):
            await self.wait(None if isinstance(line, Never) else line.gate)
        if isinstance(line, Oversize):
            return await self.flood(request, self.picture, line.size_bytes, "image/png")
        body = b"" if isinstance(line, Empty) else self.picture
        return await self.answer(request, line, body, "image/png")
