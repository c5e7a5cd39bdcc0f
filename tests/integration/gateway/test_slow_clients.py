"""Clients that are slow, silent or many: cut or refused, and nobody else notices."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest

from services.gateway.protocol import ConnectionLimits
from tests.integration.gateway.hostile import PATH, status_of
from tests.integration.gateway.world import RUN, World, gateway
from tests.support.eventually import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _brief() -> ConnectionLimits:
    return ConnectionLimits(connections=8, head_seconds=0.4, stalled_reader_seconds=0.5)


async def closes(world: World, first: bytes, more: bytes = b"") -> bytes:
    """Everything the gateway answers to bytes that trickle in, until it closes."""
    loop, received = asyncio.get_running_loop(), bytearray()
    with socket.create_connection(("127.0.0.1", world.port)) as client:
        client.setblocking(False)
        await loop.sock_sendall(client, first)

        async def trickle() -> None:
            with suppress(OSError):
                while more:
                    await asyncio.sleep(0.1)
                    await loop.sock_sendall(client, more)

        trickling = asyncio.ensure_future(trickle())
        # What trickles in after the gateway has closed is answered with a reset, which may follow
        # its last word at once. A bare socket gives the word first; a stream would forget it.
        with suppress(ConnectionResetError):
            async with asyncio.timeout(5):
                while chunk := await loop.sock_recv(client, 65_536):
                    received += chunk
        trickling.cancel()
        await asyncio.wait({trickling})
    return bytes(received)


async def test_half_open_and_slow_requests_are_cut() -> None:
    async with gateway(limits=_brief(), receive_timeout_seconds=0.4) as world:
        assert await closes(world, b"") == b""
        assert await closes(world, b"GET /health HT") == b""
        assert await closes(world, b"GET /health HTTP/1.1\r\nHost: localhost\r\n", b"X") == b""
        assert await closes(world, b"\r\n", b"\r\n") == b""
        slow = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        slow += b"Content-Length: 1000\r\n\r\n"
        assert status_of(await closes(world, slow % PATH.encode(), b" ")) == 408
        # The largest chunk there can be: it never comes, and nothing waits for it.
        slow = slow.replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked")
        endless = slow % PATH.encode() + b"ffffffffffffffff\r\nx\r\n0\r\n\r\n"
        assert status_of(await closes(world, endless)) == 408


async def test_a_reader_that_does_not_read_is_cut() -> None:
    async with gateway(limits=_brief()) as world:
        world.recorder.create(RUN)
        world.recorder.commit(RUN, "input", b"x" * 64 * 1024 * 1024, stage=0)
        _, writer = await asyncio.open_connection("127.0.0.1", world.port, limit=1024)
        writer.write(
            b"GET /api/pipeline/%b/entities/1 HTTP/1.1\r\nHost: localhost\r\n\r\n" % RUN.encode()
        )
        await eventually(lambda: world.recorder.calls["ReadEntity"] > 0 and not world.connections)
        # Flow control stopped the recorder long before the whole body was under way.
        assert world.recorder.bytes_sent < 32 * 1024 * 1024
        assert (await world.client.get("/health")).status_code == 200
        writer.close()


async def test_more_connections_than_allowed_are_503_and_others_go_on() -> None:
    async with gateway(limits=ConnectionLimits(connections=8)) as world:
        assert (await world.client.get("/health")).status_code == 200
        idle = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(7)]
        answer = await world.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert status_of(answer) == 503
        assert b"retry-after: 1" in answer.lower()
        assert (await world.client.get("/health")).status_code == 200
        for _, writer in idle:
            writer.close()


async def test_a_reader_that_reads_slowly_is_not_cut() -> None:
    async with gateway(limits=_brief()) as world:
        size = 12 * 1024 * 1024
        world.recorder.create(RUN)
        world.recorder.commit(RUN, "input", b"x" * size, stage=0)
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port, limit=65_536)
        writer.write(
            b"GET /api/pipeline/%b/entities/1 HTTP/1.1\r\nHost: localhost\r\n"
            b"Connection: close\r\n\r\n" % RUN.encode()
        )
        received, began = 0, asyncio.get_running_loop().time()
        async with asyncio.timeout(20):
            while chunk := await reader.read(1024 * 1024):
                received += len(chunk)
                await asyncio.sleep(0.02)
        assert received > size
        assert asyncio.get_running_loop().time() - began > _brief().stalled_reader_seconds
        writer.close()


async def test_garbage_after_a_request_never_gets_into_its_answer(world: World) -> None:
    world.recorder.create(RUN)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(b"GET /api/pipeline/%b/events HTTP/1.1\r\nHost: localhost\r\n\r\n" % RUN.encode())
    received = await reader.readuntil(b"id: 1")
    writer.write(b"\x00\x01 no request\r\n\r\n")
    with suppress(ConnectionResetError):
        async with asyncio.timeout(5):
            received += await reader.read()
    assert received.count(b"HTTP/1.1") == 1
    assert b"MALFORMED" not in received
    writer.close()
