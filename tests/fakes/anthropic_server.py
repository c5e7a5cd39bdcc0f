"""A scriptable server of Anthropic's Messages protocol; the script is that of `openai_server`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from aiohttp import web

from tests.fakes.openai_server import JSON, Asked, FakeOpenAI, Say

_STOPS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


class AskedAnthropic(Asked):
    """What a request said: the instructions are no message there."""

    @property
    def system(self) -> str:
        return str(self.body["system"])


@dataclass
class FakeAnthropic(FakeOpenAI):
    """The server; listens while the block is open."""

    PATH: ClassVar[str] = "/v1/messages"

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/v1/models/{name}", self._model)

    def asked(self, body: JSON, headers: dict[str, str]) -> Asked:
        return AskedAnthropic(body, headers)

    def beginning(self, model: str) -> bytes:
        message: JSON = {
            "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": model,
            "stop_reason": None, "usage": {"input_tokens": 1, "output_tokens": 1},
        }  # fmt: skip
        block: JSON = {"type": "text", "text": ""}
        return (
            _event({"type": "message_start", "message": message})
            + _event({"type": "content_block_start", "index": 0, "content_block": block})
            + _event({"type": "ping"})
        )

    def piece(self, text: str, model: str, refusal: str | None = None) -> bytes:
        delta: JSON = {"type": "text_delta", "text": text}
        return _event({"type": "content_block_delta", "index": 0, "delta": delta})

    def ending(self, line: Say) -> bytes:
        if line.finish is None:
            return b""
        reason = "refusal" if line.refusal else _STOPS.get(line.finish, line.finish)
        return (
            _event({"type": "content_block_stop", "index": 0})
            + _event({"type": "message_delta", "delta": {"stop_reason": reason}})
            + _event({"type": "message_stop"})
        )

    async def _model(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.models:
            error = {"type": "error", "error": {"type": "not_found_error", "message": "no"}}
            return web.json_response(error, status=404)
        return web.json_response({"type": "model", "id": name, "display_name": name})


def _event(data: JSON) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()
