"""JSON over HTTP to one ComfyUI, in threads of its own: http.client, no Origin header.

One connection per exchange: ComfyUI is near, opening one costs 0.1 ms, and an answer that stays
out then always means that the request may have arrived, never that a kept connection was stale.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

from services.media.comfy.address import Address
from services.media.comfy.errors import Unanswered, Unreachable, exchange_errors, protocol_error

CONNECT_TIMEOUT_SECONDS = 3.0
CALL_TIMEOUT_SECONDS = 5.0
MAX_RESPONSE_BYTES = 32 * 1024 * 1024
WORKERS = 8


OpenBody = Callable[[], AbstractContextManager[Iterator[bytes]]]


@dataclass(frozen=True, slots=True)
class _Body:
    """A body that is read while it is sent, and what is said of it before."""

    open: OpenBody
    content_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and body of an answer."""

    status: int
    body: bytes
    url: str

    def json(self) -> Any:
        """The body as JSON; ComfyUI writes bare NaN, which is let through.

        Raises COMFY_PROTOCOL when it is none.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise protocol_error("no JSON", status=str(self.status)) from error

    def object(self) -> dict[str, Any]:
        """The body as a JSON object of an answer with 200.

        Raises Unanswered for a 5xx (a proxy's, or ComfyUI in trouble), else COMFY_PROTOCOL.
        """
        if self.status >= 500:
            raise Unanswered(self.url, f"status {self.status}")
        if self.status != 200:
            raise protocol_error(f"with status {self.status}", status=str(self.status))
        value = self.json()
        if not isinstance(value, dict):
            raise protocol_error("no JSON object")
        return value


class Rest:
    """Calls one ComfyUI; close it when done."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="comfy-http")

    async def get(self, path: str, *, timeout_seconds: float = CALL_TIMEOUT_SECONDS) -> Reply:
        """GET. Raises Unreachable, Unanswered, COMFY_PROTOCOL."""
        return await self._call("GET", path, None, timeout_seconds)

    async def head(self, path: str) -> Reply:
        """HEAD. Raises Unreachable, Unanswered, COMFY_PROTOCOL."""
        return await self._call("HEAD", path, None, CALL_TIMEOUT_SECONDS)

    async def post(
        self,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> Reply:
        """POST a JSON object. Raises Unreachable, Unanswered, COMFY_PROTOCOL."""
        data = json.dumps({} if body is None else body).encode()
        return await self._call("POST", path, data, timeout_seconds)

    async def upload(
        self,
        path: str,
        open_body: OpenBody,
        *,
        content_type: str,
        size_bytes: int,
        timeout_seconds: float,
    ) -> Reply:
        """POST a body that is read while it is sent. Raises as `post` and as reading it does."""
        body = _Body(open_body, content_type, size_bytes)
        return await self._call("POST", path, body, timeout_seconds)

    async def close(self) -> None:
        """Wait for exchanges under way; each has its own deadline."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    async def _call(
        self, method: str, path: str, body: bytes | _Body | None, timeout_seconds: float
    ) -> Reply:
        exchange = _Exchange(self.address, method, path, body, timeout_seconds)
        loop = asyncio.get_running_loop()
        answer = loop.run_in_executor(self._threads, exchange.run)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await asyncio.shield(answer)
        except (TimeoutError, asyncio.CancelledError) as error:
            # The thread ends at once: its socket is shut down under it.
            exchange.abort()
            answer.add_done_callback(_retrieve)
            if isinstance(error, TimeoutError):
                raise Unanswered(self.address.url, "time over") from error
            raise


def _retrieve(answer: asyncio.Future[Reply]) -> None:
    if not answer.cancelled():
        answer.exception()


class _Exchange:
    """One request and its answer, run in a thread, stoppable from outside."""

    def __init__(
        self,
        address: Address,
        method: str,
        path: str,
        body: bytes | _Body | None,
        timeout_seconds: float,
    ) -> None:
        self._address = address
        self._request = (method, path, body)
        self._timeout = timeout_seconds
        self._socket: socket.socket | None = None
        self._aborted = False

    def run(self) -> Reply:
        url = self._address.url
        connection = self._address.connection(min(CONNECT_TIMEOUT_SECONDS, self._timeout))
        try:
            try:
                connection.connect()
            except OSError as error:
                refused = isinstance(error, ConnectionRefusedError)
                raise Unreachable(url, refused=refused) from error
            self._socket = connection.sock
            self._socket.settimeout(self._timeout)
            if self._aborted:
                # Given up while it waited for a thread: it must not be sent any more.
                raise Unreachable(url)
            method, path, body = self._request
            headers = {"Accept": "application/json", "Connection": "close"}
            if isinstance(body, _Body):
                headers["Content-Type"] = body.content_type
                headers["Content-Length"] = str(body.size_bytes)
            elif body is not None:
                headers["Content-Type"] = "application/json"
            with exchange_errors(url):
                if isinstance(body, _Body):
                    with body.open() as chunks:
                        connection.request(method, path, chunks, headers)
                else:
                    connection.request(method, path, body, headers)
                with connection.getresponse() as response:
                    data = response.read(MAX_RESPONSE_BYTES + 1)
                    missing = response.length or 0
            if len(data) > MAX_RESPONSE_BYTES:
                raise protocol_error(f"more than {MAX_RESPONSE_BYTES} bytes")
            if missing:
                raise Unanswered(url, f"the answer lacks {missing} bytes")
            return Reply(response.status, data, url)
        finally:
            connection.close()

    def abort(self) -> None:
        # The flag before the socket, as `run` sets the socket before it reads the flag.
        self._aborted = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
