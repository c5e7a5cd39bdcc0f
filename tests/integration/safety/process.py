"""The safety service as a process of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from artlab.common.v1 import common_pb2
from artlab.safety.v1 import safety_pb2
from services.kit.catalogue import CONFIGS
from services.kit.channel import is_serving

START_SECONDS = 15.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def environment(port: int, **settings: str) -> dict[str, str]:
    own = {f"ARTLAB_SAFETY_{name}": value for name, value in settings.items()}
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ARTLAB_")}
    return {**inherited, "ARTLAB_SAFETY_PORT": str(port), **own}


async def start(port: int, **settings: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.safety",
        env=environment(port, **settings),
        cwd=CONFIGS.parent,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def running(port: int, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await start(port, **settings)
    try:
        end = time.monotonic() + START_SECONDS
        while not await is_serving(f"127.0.0.1:{port}", 0.5):
            assert process.returncode is None
            assert time.monotonic() < end
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def refusal(**settings: str) -> tuple[int | None, str]:
    process = await start(free_port(), **settings)
    async with asyncio.timeout(START_SECONDS):
        _, errors = await process.communicate()
    return process.returncode, errors.decode()


def picture(data: bytes) -> Iterator[safety_pb2.CheckImageRequest]:
    yield safety_pb2.CheckImageRequest(
        level=common_pb2.SAFETY_LEVEL_KIDS,
        purpose=safety_pb2.PURPOSE_IMAGE,
        media_type="image/jpeg",
        data=data,
    )
