"""JSON over HTTP: bounded in time and size, and never sent after it was given up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from services.kit.errors import FailedPrecondition
from services.media.comfy import rest as rest_module
from services.media.comfy.address import parse_address
from services.media.comfy.errors import Unanswered, Unreachable
from services.media.comfy.rest import WORKERS, Rest

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers each connection as it is told, and counts requests."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[bytes] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await self.answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def answered(answer: Answer) -> AsyncIterator[tuple[Rest, Server]]:
    told = Server(answer)
    server = await asyncio.start_server(told.handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        rest = Rest(parse_address(f"http://127.0.0.1:{port}"))
        try:
            yield rest, told
        finally:
            await rest.close()


def saying(raw: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return answer


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


async def test_not_a_number_is_let_through() -> None:
    raw = b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"a": NaN}'
    async with answered(saying(raw)) as (rest, _):
        found = (await rest.get("/x")).object()
        assert found["a"] != found["a"]


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{{{{", FailedPrecondition),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", FailedPrecondition),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", FailedPrecondition),
        (b"SSH-2.0-OpenSSH\r\n\r\n", FailedPrecondition),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n{", FailedPrecondition),
        # Cut on the way: it may have been taken in.
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", Unanswered),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{", Unanswered),
        (b"", Unanswered),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", Unanswered),
    ],
)
async def test_an_answer_of_another_kind_is_told_from_none(
    raw: bytes, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_module, "MAX_RESPONSE_BYTES", 1000)
    full = raw + b"y" * 90_000 if b"90000" in raw else raw
    async with answered(saying(full)) as (rest, _):
        with pytest.raises(kind):
            (await rest.get("/x")).object()


@pytest.mark.parametrize("answer", [silence, drip])
async def test_a_call_ends_with_its_time_however_slowly_the_answer_comes(answer: Answer) -> None:
    async with answered(answer) as (rest, _):
        began = time.monotonic()
        with pytest.raises(Unanswered):
            await rest.get("/x", timeout_seconds=0.3)
        await rest.close()
        assert time.monotonic() - began < 1.0


async def test_a_call_given_up_while_it_waited_for_a_thread_is_never_sent() -> None:
    async with answered(silence) as (rest, server):
        busy = [asyncio.create_task(rest.get("/busy")) for _ in range(WORKERS)]
        while len(server.requests) < WORKERS:  # noqa: ASYNC110  # the server has no event for it
            await asyncio.sleep(0.005)
        waiting = asyncio.create_task(rest.post("/prompt", {"a": 1}))
        await asyncio.sleep(0.05)
        for task in (waiting, *busy):
            task.cancel()
        await asyncio.gather(waiting, *busy, return_exceptions=True)
        await rest.close()
        assert not [raw for raw in server.requests if b"/prompt" in raw]


async def test_nobody_there_is_told_from_no_answer() -> None:
    async with answered(silence) as (rest, _):
        address = rest.address
    gone = Rest(address)
    try:
        with pytest.raises(Unreachable):
            await gone.get("/x")
    finally:
        await gone.close()
