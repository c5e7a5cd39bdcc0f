"""Two orchestrators: one that is told to stop hands its runs over, and any may cancel any run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from artlab.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc
from artlab.recorder.v1 import run_pb2
from services.kit.channel import open_channel
from tests.fakes.comfyui.script import Script
from tests.fakes.comfyui.server import FakeComfyUI, fake_comfyui
from tests.faults.orchestrator_load import Asked, all_ended, asked, start, status
from tests.faults.orchestrator_world import Queue, World, orchestrator_world
from tests.support.eventually import eventually
from tests.support.history import check_root

QUEUES: tuple[Queue, ...] = ("embedded", "nats")
# A cancel is to be done within two seconds; this is when a call gives up on a busy machine.
CANCEL_SECONDS = 6.0


@asynccontextmanager
async def _driving(folder: Path, queue: Queue) -> AsyncIterator[tuple[World, FakeComfyUI, Asked]]:
    # The first one drives a run whose job hangs, the second one has nothing to do.
    async with fake_comfyui(script=Script(hang_at="KSampler")) as comfy:
        settings = {
            "ARTLAB_MEDIA_COMFYUI_URLS": comfy.url,
            "ARTLAB_ORCHESTRATOR_CLAIM_TTL_SECONDS": "5",
        }
        async with orchestrator_world(folder, settings=settings, queue=queue, cut=False) as world:
            _, second = world.replicas
            await world.kill(second)
            run = asked("picture")
            await start(world, run, 1)
            await eventually(lambda: bool(comfy.executions), 20, "the job at the backend")
            await world.start(second, wait=True)
            yield world, comfy, run


@pytest.mark.timeout(120)
@pytest.mark.parametrize("queue", QUEUES)
async def test_a_replica_told_to_stop_hands_its_runs_over(tmp_path: Path, queue: Queue) -> None:
    async with _driving(tmp_path, queue) as (world, comfy, run):
        first, _ = world.replicas
        assert await world.terminate(first) == 0
        comfy.script.hang_at = None
        await all_ended(world, [run], 30)
        assert status(world, run.run_id) == "succeeded"
        assert list(comfy.executions.values()) == [1]
        assert "run handed over" in world.log(first)
        assert check_root(world.root, [run.run_id], must_be_final=True) == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", ["driven", "frozen", "dead"])
async def test_any_replica_cancels_a_run_whatever_became_of_its_driver(
    tmp_path: Path, how: str
) -> None:
    async with _driving(tmp_path, "embedded") as (world, comfy, run):
        first, second = world.replicas
        if how == "frozen":
            await world.freeze(first)
        elif how == "dead":
            await world.kill(first)
        async with open_channel(world.fleet.specs[second].target) as channel:
            stub = orchestrator_pb2_grpc.OrchestratorServiceStub(channel)
            request = orchestrator_pb2.CancelRunRequest(name=f"runs/{run.run_id}")
            answer = await stub.CancelRun(request, timeout=CANCEL_SECONDS)
        assert answer.run.state == run_pb2.RUN_STATE_CANCELLED
        assert [output.state for output in answer.run.outputs] == [run_pb2.RUN_STATE_CANCELLED]
        before = world.record(run.run_id)
        # The backend is told as well.
        await eventually(lambda: comfy.worker.running is None, 10, "the stop of the job")
        if how == "frozen":
            await world.thaw(first)
        if how != "dead":
            await eventually(lambda: _is_through(world, first), 20, "its noticing")
        assert world.record(run.run_id) == before
        assert check_root(world.root, [run.run_id], must_be_final=True) == []


def _is_through(world: World, name: str) -> bool:
    # By its heartbeat, by a write that is refused, or by its job that was stopped.
    signs = ("claim lost", "somebody else's", "run ended")
    return any(sign in world.log(name) for sign in signs)
