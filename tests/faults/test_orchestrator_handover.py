"""Two orchestrators: one that is told to stop hands its runs over, and any may cancel any run."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio

from artlab.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc
from artlab.recorder.v1 import run_pb2
from services.kit.channel import open_channel
from tests.fakes.comfyui.server import FakeComfyUI, fake_comfyui
from tests.faults.orchestrator_load import Asked, all_ended, asked, start, status
from tests.faults.orchestrator_world import Queue, World, orchestrator_world
from tests.support.eventually import eventually
from tests.support.history import check_root

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

QUEUES: tuple[Queue, ...] = ("embedded", "nats")
# A cancel is to be done within two seconds; this is when a call gives up on a busy machine.
CANCEL_SECONDS = 6.0


# Two runs alike would share their picture.
numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def comfy() -> AsyncIterator[FakeComfyUI]:
    async with fake_comfyui() as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=QUEUES)
async def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, comfy: FakeComfyUI
) -> AsyncIterator[World]:
    """Two orchestrators, for the tests of this file."""
    settings = {
        "ARTLAB_MEDIA_COMFYUI_URLS": comfy.url,
        "ARTLAB_ORCHESTRATOR_CLAIM_TTL_SECONDS": "5",
    }
    folder = tmp_path_factory.mktemp("world")
    async with orchestrator_world(
        folder, settings=settings, queue=request.param, cut=False
    ) as world:
        yield world


@dataclass(frozen=True)
class Driving:
    """A run whose job hangs, driven by the first one while the second one has nothing to do."""

    world: World
    run: Asked
    log_before: int

    def log(self) -> str:
        """What the first one has said about it."""
        return self.world.log(self.world.replicas[0])[self.log_before :]


@asynccontextmanager
async def _driving(world: World, comfy: FakeComfyUI) -> AsyncIterator[Driving]:
    first, second = world.replicas
    comfy.script.hang_at = "KSampler"
    comfy.worker.executions.clear()
    log_before = len(world.log(first))
    if world.fleet.children[first].exit_code is not None:
        await world.start(first, wait=True)
    await world.kill(second)
    run = asked("picture")
    try:
        await start(world, run, next(numbers))
        await eventually(lambda: bool(comfy.executions), 20, "the job at the backend")
        await world.start(second, wait=True)
        yield Driving(world, run, log_before)
    finally:
        comfy.script.hang_at = None
        if world.fleet.children[second].exit_code is not None:
            await world.start(second)


async def test_a_replica_told_to_stop_hands_its_runs_over(world: World, comfy: FakeComfyUI) -> None:
    async with _driving(world, comfy) as driving:
        first, _ = world.replicas
        assert await world.terminate(first) == 0
        comfy.script.hang_at = None
        await all_ended(world, [driving.run], 30)
        assert status(world, driving.run.run_id) == "succeeded"
        assert list(comfy.executions.values()) == [1]
        assert "run handed over" in driving.log()
        assert check_root(world.root, [driving.run.run_id], must_be_final=True) == []


@pytest.mark.parametrize("world", ["embedded"], indirect=True)
@pytest.mark.parametrize("how", ["driven", "frozen", "dead"])
async def test_any_replica_cancels_a_run_whatever_became_of_its_driver(
    world: World, comfy: FakeComfyUI, how: str
) -> None:
    async with _driving(world, comfy) as driving:
        first, second = world.replicas
        run_id = driving.run.run_id
        if how == "frozen":
            await world.freeze(first)
        elif how == "dead":
            await world.kill(first)
        async with open_channel(world.fleet.specs[second].target) as channel:
            stub = orchestrator_pb2_grpc.OrchestratorServiceStub(channel)
            request = orchestrator_pb2.CancelRunRequest(name=f"runs/{run_id}")
            answer = await stub.CancelRun(request, timeout=CANCEL_SECONDS)
        assert answer.run.state == run_pb2.RUN_STATE_CANCELLED
        assert [output.state for output in answer.run.outputs] == [run_pb2.RUN_STATE_CANCELLED]
        before = world.record(run_id)
        # The backend is told as well.
        await eventually(lambda: comfy.worker.running is None, 10, "the stop of the job")
        if how == "frozen":
            await world.thaw(first)
        if how != "dead":
            await eventually(lambda: _is_through(driving), 20, "its noticing")
        assert world.record(run_id) == before
        assert check_root(world.root, [run_id], must_be_final=True) == []


def _is_through(driving: Driving) -> bool:
    # By its heartbeat, by a write that is refused, or by its job that was stopped.
    signs = ("claim lost", "somebody else's", "run ended")
    return any(sign in driving.log() for sign in signs)
