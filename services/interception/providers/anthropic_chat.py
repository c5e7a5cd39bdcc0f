"""Anthropic's Messages protocol, streamed as server-sent events.

Source: https://docs.claude.com/en/api/messages-streaming. Temperatures end at 1 there, there is no
seed, and newer models take temperature or top_p, not both: the temperature is sent, and what is
recorded is what was sent.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from services.interception.providers.chat import (
    MAX_RESPONSE_BYTES,
    ChatPiece,
    ChatRequest,
    ChatServer,
    Sight,
)
from services.interception.providers.errors import protocol_error, status_error
from services.interception.providers.sights import seen_from
from services.interception.providers.wire import Wire, object_of, parse_object, text_of
from services.kit.errors import ArtlabError

VERSION = "2023-06-01"
HIGHEST_TEMPERATURE = 1.0
_DATA = b"data:"
# Its names of errors in a stream, as the status they would have had before it.
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
}


class AnthropicProvider:
    """Talks to one server. Close it with `aclose`."""

    protocol = "anthropic"

    def __init__(self, server: ChatServer) -> None:
        self._server = server
        headers = {"anthropic-version": VERSION}
        if server.api_key:
            headers["x-api-key"] = server.api_key
        self._wire = Wire(
            server.base_url,
            headers,
            proxy=server.proxy,
            silence_seconds=server.silence_seconds,
            max_bytes=MAX_RESPONSE_BYTES,
        )

    async def aclose(self) -> None:
        """See the port."""
        await self._wire.aclose()

    def _sampling(self, request: ChatRequest) -> dict[str, Any]:
        # Required there, so never left out.
        sampling: dict[str, Any] = {"max_tokens": request.max_tokens}
        if "temperature" not in self._server.omitted:
            sampling["temperature"] = min(request.temperature, HIGHEST_TEMPERATURE)
        return sampling

    def sent(self, request: ChatRequest) -> Mapping[str, str]:
        """See the port."""
        return {name: f"{value:g}" for name, value in self._sampling(request).items()}

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatPiece, None]:
        """See the port."""
        body = {
            "model": request.model,
            "system": request.system,
            "messages": [{"role": "user", "content": request.user}],
            "stream": True,
            **self._sampling(request),
        }
        lines = self._wire.post_lines("/v1/messages", body, "text/event-stream")
        async with aclosing(lines) as events:
            async for line in events:
                # Names of events are in their data as well; each is one line of data.
                if not line.startswith(_DATA):
                    continue
                found = parse_object(line[len(_DATA) :])
                kind = text_of(found, "type")
                if kind == "message_stop":
                    return
                if kind == "error":
                    name = text_of(object_of(found, "error"), "type")
                    raise status_error(_STATUS.get(name, 500), {})
                yield _piece(kind, found)
        raise protocol_error("the model server's answer ended before it was finished")

    async def look(self, model: str) -> Sight:
        """See the port: whether the key may use the model."""
        try:
            await self._wire.get(f"/v1/models/{quote(model, safe='')}")
        except ArtlabError as error:
            return seen_from(error)
        return Sight("ready")

    async def warm(self, model: str, *, fetch: bool) -> AsyncGenerator[Sight, None]:
        """See the port: nothing is loaded there, so it is only looked at."""
        yield await self.look(model)


def _piece(kind: str, found: Mapping[str, Any]) -> ChatPiece:
    if kind == "message_start":
        return ChatPiece(model=text_of(object_of(found, "message"), "model"))
    delta = object_of(found, "delta")
    if kind == "content_block_delta" and text_of(delta, "type") == "text_delta":
        return ChatPiece(text=text_of(delta, "text"))
    if kind == "message_delta":
        finish = text_of(delta, "stop_reason")
        return ChatPiece(finish=finish, declined=finish == "refusal")
    # Pings, reasoning, beginnings and ends of blocks, and what will be invented.
    return ChatPiece()
