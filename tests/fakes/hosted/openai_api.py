"""The OpenAI Images API, and OpenRouter's chat API with pictures in its answers.

After platform.openai.com (images.generate: b64_json for the GPT image models, error codes) and
openrouter.ai (image generation: `modalities`, data URLs in `message.images`, `usage.cost`, errors
with status 200 after the model began).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from aiohttp import web

from tests.fakes.hosted.server import (
    JSON,
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
class FakeOpenAIImages(FakeApi):
    """POST /v1/images/generations."""

    prefix = "/v1"

    def routes(self) -> list[web.RouteDef]:
        """One route."""
        return [web.post("/v1/images/generations", self._generate)]

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        await self.take(request)
        if not self.authorized(request):
            return refusal(Status(401), _error("invalid_api_key", f"Incorrect key: {self.key}"))
        line = self.next_line()
        if isinstance(line, Status):
            return refusal(line, _error("server_error", self.requests[-1]["prompt"]))
        if isinstance(line, Blocked):
            return refusal(Status(400), _error("moderation_blocked", "rejected by the safety"))
        self.begin()
        if isinstance(line, Never | Good) and (isinstance(line, Never) or line.gate is not None):
            await self.wait(None if isinstance(line, Never) else line.gate)
        if isinstance(line, Oversize):
            start = b'{"created": 1, "data": [{"b64_json": "'
            return await self.flood(request, start, line.size_bytes, "application/json")
        encoded = base64.b64encode(self.picture).decode()
        data = [] if isinstance(line, Empty) else [{"b64_json": encoded}]
        usage = {"total_tokens": 100, "input_tokens": 50, "output_tokens": 50,
                 "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}}  # fmt: skip
        body = json.dumps({"created": 1713833628, "data": data, "usage": usage}).encode()
        return await self.answer(request, line, body, "application/json")


@dataclass
class FakeOpenRouter(FakeApi):
    """POST /api/v1/chat/completions."""

    prefix = "/api/v1"
    cost: object = 0.0387

    def routes(self) -> list[web.RouteDef]:
        """One route."""
        return [web.post("/api/v1/chat/completions", self._complete)]

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        asked = await self.take(request)
        if not self.authorized(request):
            return refusal(Status(401), {"error": {"code": 401, "message": f"No {self.key}"}})
        line = self.next_line()
        if isinstance(line, Status) and line.code != 200:
            message = asked["messages"][0]["content"]
            return refusal(line, {"error": {"code": line.code, "message": message}})
        if isinstance(line, Status):
            # The model had begun.
            return refusal(line, {"id": "gen-1", "error": {"code": 502, "message": "upstream"}})
        if isinstance(line, Blocked):
            metadata = {"reasons": ["violence"], "flagged_input": "…", "provider_name": "X"}
            error = {"code": 403, "message": "flagged", "metadata": metadata}
            return refusal(Status(403), {"error": error})
        self.begin()
        if isinstance(line, Never | Good) and (isinstance(line, Never) or line.gate is not None):
            await self.wait(None if isinstance(line, Never) else line.gate)
        if isinstance(line, Oversize):
            start = b'{"id": "gen-1", "choices": [{"message": {"content": "'
            return await self.flood(request, start, line.size_bytes, "application/json")
        body = json.dumps(self._completion(asked, empty=isinstance(line, Empty))).encode()
        return await self.answer(request, line, body, "application/json")

    def _completion(self, asked: JSON, *, empty: bool) -> JSON:
        url = "data:image/png;base64," + base64.b64encode(self.picture).decode()
        message: JSON = {"role": "assistant", "content": "Here it is."}
        if not empty:
            message["images"] = [{"type": "image_url", "image_url": {"url": url}}]
        usage = {"prompt_tokens": 5, "completion_tokens": 1290, "total_tokens": 1295}
        return {
            "id": "gen-1",
            "object": "chat.completion",
            "created": 1,
            "model": asked["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {**usage, "cost": self.cost},
        }


def _error(code: str, message: str) -> JSON:
    return {"error": {"code": code, "type": "fake", "param": None, "message": message}}
