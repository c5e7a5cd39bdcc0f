"""A ComfyUI in a process of its own, frozen as by SIGSTOP: its port is open, nobody answers."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.kit.catalogue import CONFIGS
from services.kit.errors import DeadlineExceeded
from tests.fakes.comfyui.jobs import config, connected, ignore, make_job, read
from tests.support.eventually import eventually

pytestmark = pytest.mark.timeout(60)


class ComfyProcess:
    """A fake ComfyUI behind its own process id."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process, self.url = process, url

    async def get(self, path: str) -> Any:
        """Ask it without any code of ours."""

        def ask() -> Any:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as answer:
                return json.load(answer)

        return await asyncio.to_thread(ask)

    async def remaining(self) -> int:
        """Jobs that run and wait."""
        count: int = (await self.get("/prompt"))["exec_info"]["queue_remaining"]
        return count


@pytest.fixture
async def comfy(tmp_path: Path) -> AsyncIterator[ComfyProcess]:
    """Started, with a second for each step of a sampler."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.fakes.comfyui", "--port", "0", "--step-seconds", "0.6"),
        *("--directory", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        cwd=CONFIGS.parent,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        yield ComfyProcess(process, line.decode().split()[-1])
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        await process.wait()


async def test_frozen_beyond_the_deadline_the_job_ends_and_is_stopped_after_the_thaw(
    comfy: ComfyProcess,
) -> None:
    async with connected(comfy.url) as backend:
        job = make_job(config(deadline_seconds=2.0))
        task = asyncio.create_task(backend.render(job, ignore))

        async def runs() -> bool:
            return await comfy.remaining() == 1

        await eventually(runs)
        comfy.process.send_signal(signal.SIGSTOP)
        with pytest.raises(DeadlineExceeded) as caught:
            await asyncio.wait_for(task, 15)
        assert caught.value.reason == "DEADLINE"
        comfy.process.send_signal(signal.SIGCONT)

        async def idle() -> bool:
            return await comfy.remaining() == 0

        await eventually(idle)
        (entry,) = (await comfy.get("/history")).values()
        assert entry["status"]["messages"][-1][0] == "execution_interrupted"


async def test_frozen_for_a_while_the_job_goes_on_and_is_made_once(comfy: ComfyProcess) -> None:
    async with connected(comfy.url) as backend:
        told: list[float] = []
        task = asyncio.create_task(
            backend.render(make_job(), lambda progress: told.append(progress.fraction))
        )
        await eventually(lambda: bool(told) and told[-1] > 0.1)
        comfy.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(7)
        comfy.process.send_signal(signal.SIGCONT)
        assert await read(await asyncio.wait_for(task, 15))
        assert len(await comfy.get("/history")) == 1
