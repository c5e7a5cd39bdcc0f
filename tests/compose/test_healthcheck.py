"""What a container runtime asks an image: is the service in it serving?"""

from __future__ import annotations

import asyncio
import http.server
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.servers import serving


async def _status(*arguments: str, **variables: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.kit.healthcheck",
        *arguments,
        env={"PATH": os.environ["PATH"], **variables},
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        _, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@contextmanager
def _gateway(status: int) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def test_a_grpc_service_that_serves_is_healthy() -> None:
    async with serving("recorder", lambda _: None) as target:
        assert await _status(target) == (0, "")


async def test_the_image_variable_and_the_port_setting_name_the_target() -> None:
    async with serving("recorder", lambda _: None) as target:
        port = target.rsplit(":", 1)[1]
        assert await _status(SERVICE="recorder", ARTLAB_RECORDER_PORT=port) == (0, "")


async def test_nobody_listening_is_unhealthy() -> None:
    assert await _status(f"127.0.0.1:{_closed_port()}") == (1, "")
    assert await _status(f"http://127.0.0.1:{_closed_port()}/health") == (1, "")


async def test_a_peer_that_never_answers_is_unhealthy_within_the_time_of_the_image() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        async with asyncio.timeout(10):
            grpc, http_ = await asyncio.gather(
                _status(f"127.0.0.1:{port}"), _status(f"http://127.0.0.1:{port}/health")
            )
    assert grpc == (1, "")
    assert http_ == (1, "")


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1), (404, 1)])
async def test_the_gateway_is_asked_by_http(status: int, expected: int) -> None:
    with _gateway(status) as port:
        assert await _status(SERVICE="gateway", ARTLAB_GATEWAY_PORT=str(port)) == (expected, "")


@pytest.mark.parametrize(
    "target", ["", "recorder", "127.0.0.1:0", "127.0.0.1:70000", "127.0.0.1:1/health", "ftp://a:1/"]
)
async def test_a_target_of_another_form_is_wrong_usage(target: str) -> None:
    code, said = await _status(target)
    assert code == 2
    assert "HOST:PORT" in said


async def test_an_image_without_a_known_service_is_wrong_usage() -> None:
    code, said = await _status(SERVICE="painter")
    assert code == 2
    assert "SERVICE must be one of" in said


async def test_the_entry_point_refuses_an_unknown_service_with_one_line() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.kit.entrypoint",
        env={"PATH": os.environ["PATH"], "SERVICE": "os"},
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        _, said = await process.communicate()
    assert process.returncode == 78
    assert said.decode().startswith("artlab: SERVICE must be one of")
    assert len(said.splitlines()) == 1
