"""A service that neither works nor goes away: stopped by SIGSTOP, as by a disk that hangs."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from typing import Any

import pytest

from services.recorder.verify import verify_run
from tests.fakes.comfyui.server import FakeComfyUI
from tests.support.client import client_of, start_run
from tests.support.eventually import eventually
from tests.support.processes import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINAL = {"succeeded", "partial", "blocked", "failed", "cancelled"}


def _record(running: Running, run_id: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        (running.run_folder(run_id) / "metadata.json").read_bytes()
    )
    return document


async def test_a_run_is_cancelled_while_media_is_frozen(
    running: Running, comfy: FakeComfyUI
) -> None:
    comfy.script.hang_at = "KSampler"
    async with client_of(running) as http:
        run_id = await start_run(http, output_configs=["sd35_large"])
        await eventually(lambda: bool(comfy.executions), 20, "the job at the backend")
        running.send("media", signal.SIGSTOP)
        try:
            began = time.monotonic()
            answer = await http.post(f"/api/pipeline/{run_id}/cancel")
            assert time.monotonic() - began < 6.0
            assert answer.json()["status"] == "cancelled"
            assert _record(running, run_id)["status"] == "cancelled"
        finally:
            running.send("media", signal.SIGCONT)
        # Awake again, media finds that nobody waits, and stops what it had begun.
        await eventually(lambda: comfy.worker.running is None, 20, "the end of the job")
        assert verify_run(running.run_folder(run_id)) == []


async def test_a_recorder_frozen_for_longer_than_a_call_takes_costs_no_run(
    running: Running,
) -> None:
    async with client_of(running) as http:
        runs = [await start_run(http) for _ in range(4)]
        running.send("recorder", signal.SIGSTOP)
        await asyncio.sleep(11.5)
        running.send("recorder", signal.SIGCONT)
        for run_id in runs:
            await eventually(
                lambda run_id=run_id: _record(running, run_id)["status"] in FINAL,  # type: ignore[misc]
                45,
                "the end of the run",
            )
            assert _record(running, run_id)["status"] == "succeeded"
            assert verify_run(running.run_folder(run_id)) == []
