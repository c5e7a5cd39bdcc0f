"""Six services and a ComfyUI: cancelled on time, and 200 MB through small processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import psutil
import pytest

from tests.fakes.comfyui.script import Script
from tests.fakes.comfyui.server import fake_comfyui
from tests.support.client import client_of, start_run
from tests.support.eventually import eventually
from tests.support.processes import six_services

LARGE_BYTES = 200_000_000
MAX_GROWTH_BYTES = 32 * 1024 * 1024


async def state_of(http: httpx.AsyncClient, run_id: str) -> str:
    status: str = (await http.get(f"/api/pipeline/{run_id}/status")).json()["status"]
    return status


async def test_cancel_stops_the_job_at_the_backend_and_ends_as_cancelled(tmp_path: Path) -> None:
    async with (
        fake_comfyui(script=Script(hang_at="KSampler")) as comfy,
        six_services(tmp_path, ARTLAB_MEDIA_COMFYUI_URLS=comfy.url) as running,
        client_of(running) as http,
    ):
        run_id = await start_run(http, output_configs=["sd35_large", "builtin_image"])
        await eventually(lambda: bool(comfy.executions), 20, "the job at the backend")
        response = await http.post(f"/api/pipeline/{run_id}/cancel")
        assert response.json()["status"] == "cancelled", response.text
        assert await state_of(http, run_id) == "cancelled"
        await eventually(lambda: comfy.worker.remaining == 0, 10, "the end of the job")
        # Fine as well when it ended already.
        assert (await http.post(f"/api/pipeline/{run_id}/cancel")).json()["status"] == "cancelled"


@pytest.mark.long
async def test_two_hundred_megabytes_pass_through_without_growing_anybody(tmp_path: Path) -> None:
    async with (
        fake_comfyui(script=Script(output_bytes=LARGE_BYTES)) as comfy,
        # At this level pictures are not looked at; nobody would decode one of that size.
        six_services(
            tmp_path, ARTLAB_MEDIA_COMFYUI_URLS=comfy.url, ARTLAB_SAFETY_LEVEL="adult"
        ) as running,
        client_of(running) as http,
    ):
        # The first run loads what is loaded once.
        await finish(http, await start_run(http, output_configs=["builtin_image"]))
        processes = {name: psutil.Process(running.pids[name]) for name in ("media", "recorder")}
        before = {name: process.memory_info().rss for name, process in processes.items()}
        peak = dict(before)
        run_id = await start_run(http, output_configs=["sd35_large"])
        ending = asyncio.create_task(finish(http, run_id))
        while not ending.done():
            for name, process in processes.items():
                peak[name] = max(peak[name], process.memory_info().rss)
            await asyncio.sleep(0.02)
        assert await ending == "succeeded"
        assert (running.run_folder(run_id) / "06_output_image.png").stat().st_size == LARGE_BYTES
        growth = {name: peak[name] - before[name] for name in before}
        assert max(growth.values()) < MAX_GROWTH_BYTES, growth


async def finish(http: httpx.AsyncClient, run_id: str) -> str:
    async def is_final() -> bool:
        return await state_of(http, run_id) not in ("pending", "running")

    await eventually(is_final, 45, "the end of the run")
    return await state_of(http, run_id)
