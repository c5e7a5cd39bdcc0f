"""The HTTP client under every call to somebody else's server, with the bounds a stranger needs.

No redirects and no proxy from the environment (a text for a local server must not take a way
round), no compression (a bomb is not unpacked), a cap on the bytes of an answer, and only the
headers the call is about.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Collection

import httpx2

from services.kit.errors import ArtlabError

CONNECT_TIMEOUT_SECONDS = 5.0
_SENT_HEADERS = frozenset(
    ("accept", "authorization", "connection", "content-length", "content-type", "host")
)

# Makes the error for an answer that is too large or compressed, from a few words about it.
Strange = Callable[[str], ArtlabError]


class _CappedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, max_bytes: int, strange: Strange) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._strange = strange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for data in self._stream:
            size += len(data)
            if size > self._max_bytes:
                raise self._strange("is too large")
            yield data

    async def aclose(self) -> None:
        await self._stream.aclose()


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Sends a request with few headers, and bounds what comes back.

    Raises what `strange` makes for an answer that is too large or compressed.
    """

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        *,
        sent_headers: frozenset[str],
        max_bytes: int,
        strange: Strange,
    ) -> None:
        self._inner = inner
        self._sent_headers = sent_headers
        self._max_bytes = max_bytes
        self._strange = strange

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request; the answer's body is read by the caller, up to the cap."""
        for name in list(request.headers):
            if name not in self._sent_headers:
                del request.headers[name]
        request.headers["accept-encoding"] = "identity"
        request.headers["user-agent"] = "artlab"
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise self._strange("is compressed")
        stream = response.stream
        assert isinstance(stream, httpx2.AsyncByteStream)
        response.stream = _CappedStream(stream, self._max_bytes, self._strange)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


def bounded_client(
    *,
    silence_seconds: float,
    with_key: bool,
    encrypted: bool,
    max_bytes: int,
    strange: Strange,
    proxy: str = "",
    further_headers: Collection[str] = (),
) -> httpx2.AsyncClient:
    """A client for one server; close it with `aclose`.

    Args:
        silence_seconds: bounds every single wait.
        with_key: whether the header of authorization is sent.
        encrypted: whether the server is reached by HTTPS.
        max_bytes: of one answer.
        strange: makes the error for an answer that is larger, or compressed.
        proxy: an address, or empty.
        further_headers: lower-case names of what is sent besides the usual.
    """
    # Loading the authorities takes a tenth of a second; a context without any trusts nobody, and
    # plain HTTP does not ask it.
    trust = ssl.create_default_context() if encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    inner = httpx2.AsyncHTTPTransport(verify=trust, trust_env=False, proxy=proxy or None)
    sent = _SENT_HEADERS | set(further_headers)
    transport = BoundedTransport(
        inner,
        sent_headers=frozenset(sent if with_key else sent - {"authorization"}),
        max_bytes=max_bytes,
        strange=strange,
    )
    return httpx2.AsyncClient(
        transport=transport,
        follow_redirects=False,
        trust_env=False,
        timeout=httpx2.Timeout(silence_seconds, connect=CONNECT_TIMEOUT_SECONDS),
    )
