"""Bodies that their routes read as they come: bounded in size and time, never whole in memory."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.guards import announced_bytes, answer_early, is_encoded, is_upload, swallow
from services.gateway.problems import problem_of
from services.kit.errors import ArtlabError, Cancelled, DeadlineExceeded, InvalidArgument

MAX_UPLOAD_BYTES = 32 * 1024 * 1024
UPLOAD_SECONDS = 60.0


class UploadGuard:
    """Bounds uploads, and closes the line when one is answered before it was read."""

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int = MAX_UPLOAD_BYTES,
        timeout_seconds: float = UPLOAD_SECONDS,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout_seconds = timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with the body within its bounds."""
        if scope["type"] != "http" or not is_upload(scope):
            await self._app(scope, receive, send)
            return
        announced = announced_bytes(scope)
        refusal: ArtlabError | None = None
        if is_encoded(scope):
            refusal = InvalidArgument("UNSUPPORTED_CONTENT_ENCODING", "send the bytes as they are")
        elif announced is not None and announced > self._max_bytes:
            refusal = _too_large(self._max_bytes)
        if refusal is not None:
            await answer_early(problem_of(refusal), scope, receive, send)
            return
        body = _Body(receive, self._max_bytes, self._timeout_seconds, is_there=announced != 0)
        await self._app(scope, body.receive, _Ending(body, receive, send).send)


class _Body:
    def __init__(self, receive: Receive, max_bytes: int, seconds: float, *, is_there: bool) -> None:
        self.is_complete = not is_there
        self.is_late = False
        self._receive = receive
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._until = asyncio.get_running_loop().time() + seconds

    async def receive(self) -> Message:
        """As ASGI has it; raises ArtlabError past a bound, and when the client went away."""
        if self.is_complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            self.is_late = True
            raise DeadlineExceeded("REQUEST_TIMEOUT", "the body did not come in time") from None
        if message["type"] == "http.disconnect":
            raise Cancelled("CLIENT_GONE", "the client went away")
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _too_large(self._max_bytes)
        self.is_complete = not message.get("more_body", False)
        return message


class _Ending:
    """What follows an answer on the line must not be taken for a request."""

    def __init__(self, body: _Body, receive: Receive, send: Send) -> None:
        self._body = body
        self._receive = receive
        self._send = send
        self._closes = False

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start" and not self._body.is_complete:
            self._closes = True
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            message = {**message, "headers": headers}
        is_end = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not (self._closes and is_end):
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        if not self._body.is_late:
            await swallow(self._receive)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _too_large(max_bytes: int) -> InvalidArgument:
    return InvalidArgument("BODY_TOO_LARGE", f"at most {max_bytes} bytes")
