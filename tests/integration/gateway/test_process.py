"""The gateway as a process: it starts alone, stops in seconds, and says what is wrong with it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from tests.fakes.recorder import FakeRecorder
from tests.integration.gateway.world import RUN
from tests.support.eventually import eventually
from tests.support.servers import serving


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


# Another Artlab may be running on the usual ports of this machine; nothing listens on this one.
ALONE = {
    f"{name}_TARGET": "127.0.0.1:9" for name in ("ORCHESTRATOR", "SAFETY", "INTERCEPTION", "MEDIA")
}


@asynccontextmanager
async def gateway_process(**settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ARTLAB_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.gateway",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean | {f"ARTLAB_GATEWAY_{name}": value for name, value in settings.items()},
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health")).status_code == 200
    except httpx.TransportError:
        return False


async def test_sigterm_ends_open_streams_and_the_process_within_seconds() -> None:
    recorder = FakeRecorder()  # type: ignore[abstract]
    recorder.create(RUN, ("sd35_large", common_pb2.MEDIA_KIND_IMAGE))
    port = free_port()
    async with (
        serving(
            "recorder",
            lambda s: recorder_pb2_grpc.add_RecorderServiceServicer_to_server(recorder, s),
            caps={"WatchRun": 600.0},
        ) as target,
        gateway_process(PORT=str(port), RECORDER_TARGET=target, **ALONE) as process,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        await eventually(lambda: answers(client), 15)
        # Alone, it lives and says that it cannot work.
        ready = await client.get("/ready")
        assert ready.status_code == 503
        assert {s["name"]: s["status"] for s in ready.json()["services"]} == {
            "orchestrator": "not_serving",
            "safety": "not_serving",
            "interception": "not_serving",
            "media": "not_serving",
            "recorder": "serving",
        }
        async with client.stream("GET", f"/api/pipeline/{RUN}/events", timeout=10) as response:
            lines = response.aiter_lines()
            async for line in lines:
                if line.startswith("id: 1"):
                    break
            process.send_signal(signal.SIGTERM)
            rest = [line async for line in lines]
        assert any("DRAINING" in line for line in rest)
        async with asyncio.timeout(8):
            _, err = await process.communicate()
        assert process.returncode == 0
        assert b'"event":"stopped"' in err
        assert b"Traceback" not in err
        # Clients that leave are no cancellation.
        assert recorder.runs[RUN].run.state == run_pb2.RUN_STATE_PENDING


async def test_a_wrong_setting_is_named_and_ends_the_start() -> None:
    async with gateway_process(WAIT_SECOND="3") as process:
        async with asyncio.timeout(15):
            _, err = await process.communicate()
    assert process.returncode == 78
    assert b"did you mean ARTLAB_GATEWAY_WAIT_SECONDS" in err


async def test_a_port_in_use_ends_the_start_with_its_reason() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        async with gateway_process(PORT=str(port)) as process:
            async with asyncio.timeout(15):
                _, err = await process.communicate()
    assert process.returncode == 1
    assert b"PORT_IN_USE" in err
