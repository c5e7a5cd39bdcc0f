"""The HTTP client under the model client, with the bounds a stranger's server needs.

No redirects and no proxy from the environment (a text for a local server must not take a way
round), no compression (a bomb is not unpacked), a cap on the bytes of an answer, and only the
headers the call is about.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import httpx2

from services.kit.errors import Unavailable

MAX_RESPONSE_BYTES = 8 * 1024 * 1024
CONNECT_TIMEOUT_SECONDS = 5.0
_SENT_HEADERS = frozenset(
    ("accept", "authorization", "connection", "content-length", "content-type", "host")
)


class _CappedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for data in self._stream:
            size += len(data)
            if size > MAX_RESPONSE_BYTES:
                raise Unavailable("LLM_PROTOCOL", "the model server's answer is too large")
            yield data

    async def aclose(self) -> None:
        await self._stream.aclose()


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Sends a request with few headers, and bounds what comes back.

    Raises Unavailable LLM_PROTOCOL for an answer that is too large or compressed.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, *, with_key: bool) -> None:
        self._inner = inner
        self._with_key = with_key

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request; the answer's body is read by the caller, up to the cap."""
        for name in list(request.headers):
            if name not in _SENT_HEADERS or (name == "authorization" and not self._with_key):
                del request.headers[name]
        request.headers["accept-encoding"] = "identity"
        request.headers["user-agent"] = "artlab"
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise Unavailable("LLM_PROTOCOL", "the model server's answer is compressed")
        stream = response.stream
        assert isinstance(stream, httpx2.AsyncByteStream)
        response.stream = _CappedStream(stream)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


def bounded_client(
    *, silence_seconds: float, with_key: bool, proxy: str, encrypted: bool
) -> httpx2.AsyncClient:
    """A client for one model server; close it with `aclose`.

    `silence_seconds` bounds every single wait; `proxy` is an address, or empty.
    """
    # Loading the authorities takes a tenth of a second; a context without any trusts nobody, and
    # plain HTTP does not ask it.
    trust = ssl.create_default_context() if encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    inner = httpx2.AsyncHTTPTransport(verify=trust, trust_env=False, proxy=proxy or None)
    return httpx2.AsyncClient(
        transport=BoundedTransport(inner, with_key=with_key),
        follow_redirects=False,
        trust_env=False,
        timeout=httpx2.Timeout(silence_seconds, connect=CONNECT_TIMEOUT_SECONDS),
    )
