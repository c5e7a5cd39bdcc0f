"""What every request passes before a route sees it: host, origin, path, and the body's limits.

Pure ASGI, so that nothing here keeps a body or a stream from flowing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.problems import problem, problem_of
from services.kit.errors import ArtlabError
from services.kit.strict_json import parse_json

MAX_BODY_BYTES = 1024 * 1024
RECEIVE_TIMEOUT_SECONDS = 15.0
# After an early no, what the client still sends is read for a while: closing on it would take
# the answer away from a client that writes first and reads later.
LINGER_SECONDS = 2.0
LINGER_BYTES = 64 * 1024 * 1024
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]{1,253})(?::[0-9]{1,5})?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BOM = b"\xef\xbb\xbf"
_UPLOAD = re.compile(r"/api/runs/[^/]+/input_images/[^/]+")
_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS", "DELETE", "TRACE")
_SAFE = ("GET", "HEAD", "OPTIONS")


class HostGuard:
    """Answers only under the names we are known by, to pages of ours, at addresses that can be."""

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str]) -> None:
        self._app = app
        self._allowed = {*LOOPBACK_HOSTS, *(host.lower() for host in allowed_hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse or pass on."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await answer_early(refusal, scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            # Links in what we answer or log must not be poisoned, nor a browser's names rebound.
            return problem(400, "INVALID_HOST", "this server has another name")
        if _CONTROL.search(scope["path"]):
            return problem(404, "ROUTE_NOT_FOUND", "not found")
        if b"websocket" in (value.lower().encode() for value in _values(scope, b"upgrade")):
            return problem(404, "NO_WEBSOCKET_HERE", "no websocket is served at this address")
        if scope["method"] not in _SAFE and self._is_foreign(scope):
            return problem(403, "FOREIGN_ORIGIN", "a page of another site may not ask for this")
        return None

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host.lower())
        return found is not None and found["name"] in self._allowed

    def _is_foreign(self, scope: Scope) -> bool:
        if "cross-site" in _values(scope, b"sec-fetch-site"):
            return True
        return not all(
            self._is_ours(urlsplit(origin).netloc) for origin in _values(scope, b"origin")
        )


class BodyGuard:
    """Reads the whole body, bounded in size and time, and lets only strict JSON through.

    What is uploaded goes by: `uploads` has its bounds.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int = MAX_BODY_BYTES,
        timeout_seconds: float = RECEIVE_TIMEOUT_SECONDS,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout_seconds = timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with the body in one piece."""
        if scope["type"] != "http" or is_upload(scope):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await answer_early(refusal, scope, receive, send)
            return
        if scope["method"] in _WITHOUT_BODY:
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._timeout_seconds):
                body = await self._read(receive)
        except TimeoutError:
            await answer_early(
                problem(408, "REQUEST_TIMEOUT", "the body did not come in time"),
                scope, receive, send, linger=False,
            )  # fmt: skip
            return
        except _TooLarge:
            await answer_early(self._too_large(), scope, receive, send)
            return
        if body is None:
            return
        if body:
            try:
                parse_json(body)
            except ArtlabError as error:
                await problem_of(error)(scope, receive, send)
                return
        await self._app(scope, _replay(body.removeprefix(_BOM), receive), send)

    def _refusal(self, scope: Scope) -> Response | None:
        lengths = _values(scope, b"content-length")
        has_body = bool(_values(scope, b"transfer-encoding")) or any(n != "0" for n in lengths)
        if not has_body:
            return None
        if scope["method"] in _WITHOUT_BODY:
            return problem(400, "UNEXPECTED_BODY", "this method takes no body")
        if is_encoded(scope):
            return problem(415, "UNSUPPORTED_CONTENT_ENCODING", "send the body as it is")
        if lengths and int(lengths[0]) > self._max_bytes:
            return self._too_large()
        types = _values(scope, b"content-type")
        if len(types) != 1 or not _is_json(types[0]):
            return problem(415, "UNSUPPORTED_MEDIA_TYPE", "send application/json in UTF-8")
        return None

    def _too_large(self) -> Response:
        return problem(413, "BODY_TOO_LARGE", f"at most {self._max_bytes} bytes")

    async def _read(self, receive: Receive) -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                raise _TooLarge
            if not message.get("more_body", False):
                return bytes(body)


def is_upload(scope: Scope) -> bool:
    """Whether the body of a request is bytes for a route that reads them itself."""
    return scope["method"] == "PUT" and _UPLOAD.fullmatch(scope["path"]) is not None


def is_encoded(scope: Scope) -> bool:
    """Whether the body is not sent as it is."""
    return any(value.lower() != "identity" for value in _values(scope, b"content-encoding"))


def announced_bytes(scope: Scope) -> int | None:
    """How large the body says it is; None when it does not say, 0 when there is none."""
    lengths = _values(scope, b"content-length")
    if lengths:
        return int(lengths[0])
    return None if _values(scope, b"transfer-encoding") else 0


class _TooLarge(Exception):
    pass


async def answer_early(
    response: Response, scope: Scope, receive: Receive, send: Send, *, linger: bool = True
) -> None:
    """Answer before the body was read, and close: what follows on the line is not a request."""
    response.headers["Connection"] = "close"

    async def hold_the_end(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "more_body": True}
        await send(message)

    await response(scope, receive, hold_the_end)
    if linger and not _values(scope, b"expect"):
        await swallow(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def swallow(receive: Receive) -> None:
    """Read what a client still sends, for a while, and forget it."""
    swallowed = 0
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while swallowed < LINGER_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                swallowed += len(message.get("body", b""))
    except TimeoutError:
        return


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _is_json(content_type: str) -> bool:
    kind, _, rest = content_type.lower().partition(";")
    return kind.strip() == "application/json" and rest.strip() in (
        "", "charset=utf-8", 'charset="utf-8"',
    )  # fmt: skip


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
