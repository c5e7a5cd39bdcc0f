"""uvicorn's HTTP/1.1 protocol with bounds on what it leaves open.

uvicorn keeps half-sent requests and readers that do not read for ever, and reads any number of
headers. Here: a request's head has 15 s, a stalled reader 30 s, connections have a number, heads
have a size. What is cut is cut at the transport; a route never knows.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from services.gateway.problems import problem

log = logging.getLogger(__name__)

MAX_URL_BYTES = 4_096
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024

_REASON_PHRASES = {
    400: b"Bad Request",
    414: b"URI Too Long",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there may be, and how long one may do nothing useful."""

    connections: int = 2_000
    head_seconds: float = 15.0
    stalled_reader_seconds: float = 30.0


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    limits = ConnectionLimits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # Its lines hold paths and queries; ours do not.
        self.access_log = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._refusal: tuple[int, str, str] = (
            400,
            "MALFORMED_REQUEST",
            "this is no request we can read",
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or answer 503 when there are too many."""
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > self.limits.connections:
            self._refusal = (503, "TOO_MANY_CONNECTIONS", "too many connections are open")
            self.send_400_response("")
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        _stop(self._head_timer)
        self._head_timer = None
        _stop(self._reader_timer)
        self._reader_timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; bytes that begin no request do not keep the line open."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._head_timer is None and self.timeout_keep_alive_task is None:
            self._await_head()

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._header_bytes = 0
        if self._head_timer is None:
            self._await_head()

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._refuse(414, "ADDRESS_TOO_LONG", f"at most {MAX_URL_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        super().on_header(name, value)
        self._header_bytes += len(name) + len(value)
        if len(self.headers) > MAX_HEADERS or self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(431, "HEADERS_TOO_LARGE", f"at most {MAX_HEADERS} headers and 32 KiB")

    def on_headers_complete(self) -> None:
        """Hand the request on, with a way to cut the connection."""
        _stop(self._head_timer)
        self._head_timer = None
        self.scope["extensions"] = {"artlab.abort": {"abort": self.transport.abort}}
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """Give a slow reader some time."""
        super().pause_writing()
        if self._reader_timer is None:
            self._reader_timer = self.loop.call_later(
                self.limits.stalled_reader_seconds, self._stalled
            )

    def resume_writing(self) -> None:
        """Go on: the reader reads."""
        _stop(self._reader_timer)
        self._reader_timer = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what could not be parsed, unless an answer is already under way."""
        _stop(self._head_timer)
        self._head_timer = None
        cycle = self.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.abort()
            return
        if not self.transport.is_closing():
            self.transport.write(_plain_answer(*self._refusal))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        # An offer to upgrade may be ignored (RFC 9110, 7.8); it is no event of ours.
        return

    def _refuse(self, status: int, reason: str, detail: str) -> None:
        self._refusal = (status, reason, detail)
        raise ValueError(reason)  # the parser stops, and data_received answers

    def _await_head(self) -> None:
        _stop(self._head_timer)
        self._head_timer = self.loop.call_later(self.limits.head_seconds, self._no_head)

    def _no_head(self) -> None:
        self._head_timer = None
        self.transport.close()

    def _stalled(self) -> None:
        log.info("a reader stalled")
        self.transport.abort()


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _plain_answer(status: int, reason: str, detail: str) -> bytes:
    response = problem(status, reason, detail, retry_after_seconds=1.0 if status == 503 else None)
    head = b"HTTP/1.1 %d %b\r\n" % (status, _REASON_PHRASES[status])
    headers = b"".join(b"%b: %b\r\n" % pair for pair in response.raw_headers)
    return head + headers + b"connection: close\r\n\r\n" + bytes(response.body)
