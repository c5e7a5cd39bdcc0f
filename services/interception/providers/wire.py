"""JSON over HTTP, in pieces: what Ollama and Anthropic stream, with bounds on every line.

Lines end with a line feed and nothing else: the other separators Unicode knows may stand in a
text, and a splitter that takes them would cut JSON in two.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import httpx2
import orjson

from services.interception.providers.errors import (
    MAX_ERROR_BYTES,
    protocol_error,
    status_error,
)
from services.interception.providers.transport_errors import model_errors
from services.kit.bounded_http import bounded_client

MAX_LINE_BYTES = 1024 * 1024


class Wire:
    """Requests to one server. Close it with `aclose`.

    Args:
        base_url: without a slash at its end.
        headers: sent with every request, the key among them.
        proxy: an address, or empty.
        silence_seconds: bounds every single wait.
        max_bytes: of one answer.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        proxy: str,
        silence_seconds: float,
        max_bytes: int,
    ) -> None:
        self._base_url = base_url
        self._headers = dict(headers)
        self._client = bounded_client(
            silence_seconds=silence_seconds,
            with_key="authorization" in headers,
            proxy=proxy,
            encrypted=base_url.startswith("https:"),
            max_bytes=max_bytes,
            strange=lambda what: protocol_error(f"the model server's answer {what}"),
            further_headers=headers.keys(),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def get(self, path: str) -> dict[str, Any]:
        """The JSON object there. Raises ArtlabErrors with LLM_ reasons."""
        with model_errors():
            async with self._client.stream("GET", self._url(path), headers=self._headers) as answer:
                await _refuse_errors(answer)
                data = b"".join([chunk async for chunk in answer.aiter_raw()])
        return parse_object(data)

    async def post_lines(
        self, path: str, body: Mapping[str, Any], content_type: str
    ) -> AsyncGenerator[bytes, None]:
        """Yield the lines of the answer, without their ends and without empty ones.

        Raises ArtlabErrors with LLM_ reasons; LLM_PROTOCOL for an answer of another content type.
        """
        with model_errors():
            request = self._client.build_request(
                "POST", self._url(path), json=body, headers=self._headers
            )
            answer = await self._client.send(request, stream=True)
            try:
                await _refuse_errors(answer)
                if not answer.headers.get("content-type", "").startswith(content_type):
                    raise protocol_error("the model server's answer is of another kind")
                async with aclosing(_lines(answer.aiter_raw())) as lines:
                    async for line in lines:
                        yield line
            finally:
                # Also when the caller goes away: closing the connection stops the model.
                await answer.aclose()

    def _url(self, path: str) -> str:
        return f"{self._base_url}{path}"


def parse_object(data: bytes) -> dict[str, Any]:
    """One JSON object. Raises Unavailable LLM_PROTOCOL."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise protocol_error("the model server's answer could not be read") from error
    if not isinstance(found, dict):
        raise protocol_error("the model server's answer is no object")
    return found


def text_of(found: Mapping[str, Any], name: str) -> str:
    """A text of an object; "" where it is missing or null. Raises Unavailable LLM_PROTOCOL."""
    value = found.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise protocol_error("the model server's answer is no text")
    return value


def object_of(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object of an object; empty where it is missing. Raises Unavailable LLM_PROTOCOL."""
    value = found.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise protocol_error("the model server's answer is no object")
    return value


def share_of(done: object, whole: object) -> float | None:
    """A share from 0 to 1; None where the numbers make none."""
    numbers = [n for n in (done, whole) if isinstance(n, int | float) and not isinstance(n, bool)]
    if len(numbers) < 2 or not all(map(math.isfinite, numbers)) or numbers[1] <= 0:
        return None
    return min(max(numbers[0] / numbers[1], 0.0), 1.0)


async def _refuse_errors(answer: httpx2.Response) -> None:
    if answer.status_code == 200:
        return
    body = b""
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > MAX_ERROR_BYTES:
            break
    raise status_error(answer.status_code, answer.headers, body)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    held = bytearray()
    async for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            line = bytes(held + part).rstrip(b"\r")
            held.clear()
            if line:
                yield line
        held += rest
        if len(held) > MAX_LINE_BYTES:
            raise protocol_error("the model server's answer has no end of a line")
    if held:
        yield bytes(held).rstrip(b"\r")
