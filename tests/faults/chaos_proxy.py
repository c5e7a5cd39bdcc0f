"""A TCP proxy in front of a gRPC server whose faults a test scripts.

It reads the frames of HTTP/2 (RFC 9113, section 4.1) to know a request from its answer. A test arms
faults in order; each strikes once, at the first chance any connection gives it, and ends that
connection with a reset on both sides.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_PREFACE_BYTES = 24
_FRAME_HEAD_BYTES = 9
_DATA, _HEADERS = 0, 1
_END_STREAM = 1
# gRPC puts one byte (compressed or not) and the length before each message.
_MESSAGE_HEAD_BYTES = 5
# Closing with unsent data and no patience is what makes TCP reset.
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class ResetBefore:
    """A request is cut off before a byte of it reaches the server."""


@dataclass(frozen=True)
class CutAfter:
    """A request is cut off when so many bytes of messages were forwarded since it was armed."""

    data_bytes: int


@dataclass(frozen=True)
class LoseAnswer:
    """The server acts and answers; the whole answer is kept here and the connection is cut."""


Fault = ResetBefore | CutAfter | LoseAnswer


@dataclass(frozen=True)
class _Frame:
    kind: int
    ends_stream: bool
    stream: int
    head: bytes
    payload: bytes


class ChaosProxy:
    """Forwards to host:port until a fault strikes; use with ``async with``."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._peer = (host, int(port))
        self._faults: deque[Fault] = deque()
        self._since_armed = 0
        self._connections: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.target = ""
        self.struck = 0
        # Of messages that clients sent here, forwarded or not.
        self.data_bytes = 0
        # The first message of each answer that was lost; None when it was an error.
        self.lost_answers: list[bytes | None] = []

    def arm(self, *faults: Fault) -> None:
        """Add faults to those that are still to strike."""
        if not self._faults:
            self._since_armed = 0
        self._faults.extend(faults)

    @property
    def armed(self) -> int:
        """How many faults are still to strike."""
        return len(self._faults)

    def hold_answers(self) -> None:
        """Take nothing more from the server; its connections fill up."""
        self._flowing.clear()

    def release_answers(self) -> None:
        """Take from the server again."""
        self._flowing.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.target = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._forward(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(*self._peer)
        except OSError:
            _reset(writer)
            return
        ways = {
            asyncio.ensure_future(self._requests(reader, to_server)),
            asyncio.ensure_future(self._answers(from_server, writer)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            _reset(writer)
            _reset(to_server)
            for way in ways:
                way.cancel()
            for end in await asyncio.gather(*ways, return_exceptions=True):
                # A peer that went away is what this is for; everything else is a mistake here.
                if isinstance(end, Exception) and not isinstance(end, OSError | EOFError):
                    raise end

    async def _requests(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        sink.write(await source.readexactly(_PREFACE_BYTES))
        while True:
            frame = await _read(source)
            fault = self._faults[0] if self._faults else None
            if frame.kind == _HEADERS and isinstance(fault, ResetBefore):
                self._strike()
                return
            if frame.kind == _DATA:
                self.data_bytes += len(frame.payload)
                left = fault.data_bytes - self._since_armed if isinstance(fault, CutAfter) else None
                self._since_armed += len(frame.payload)
                if left is not None and left < len(frame.payload):
                    self._strike()
                    await _send(sink, frame.head + frame.payload[:left])
                    return
            await _send(sink, frame.head + frame.payload)

    async def _answers(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        lost = 0
        kept = b""
        while True:
            await self._flowing.wait()
            frame = await _read(source)
            if frame.stream and not lost and self._faults:
                is_answer = frame.kind in (_HEADERS, _DATA)
                if is_answer and isinstance(self._faults[0], LoseAnswer):
                    lost = frame.stream
                    self._strike()
            if not lost:
                await _send(sink, frame.head + frame.payload)
            elif frame.stream == lost:
                kept += frame.payload if frame.kind == _DATA else b""
                if frame.ends_stream:
                    self.lost_answers.append(_first_message(kept))
                    return

    def _strike(self) -> None:
        self._faults.popleft()
        self._since_armed = 0
        self.struck += 1


def _first_message(data: bytes) -> bytes | None:
    if not data:
        return None
    size = int.from_bytes(data[1:_MESSAGE_HEAD_BYTES])
    return data[_MESSAGE_HEAD_BYTES : _MESSAGE_HEAD_BYTES + size]


async def _read(source: asyncio.StreamReader) -> _Frame:
    head = await source.readexactly(_FRAME_HEAD_BYTES)
    kind = head[3]
    ends = kind in (_DATA, _HEADERS) and bool(head[4] & _END_STREAM)
    payload = await source.readexactly(int.from_bytes(head[:3]))
    return _Frame(kind, ends, int.from_bytes(head[5:]) & 0x7FFF_FFFF, head, payload)


async def _send(sink: asyncio.StreamWriter, data: bytes) -> None:
    sink.write(data)
    await sink.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if not writer.transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()
