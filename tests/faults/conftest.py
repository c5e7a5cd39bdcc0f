"""What the tests of a file share: recorders, one of them watched by strace, and all of Artlab."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc.aio
import pytest
import pytest_asyncio

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc
from tests.fakes.comfyui.server import FakeComfyUI, fake_comfyui
from tests.faults.disturbed import Stub
from tests.faults.every_request import a_run, answer, requests_about
from tests.faults.recorder_process import RecorderProcess
from tests.faults.traced_files import TracedRecorder, traced_recorder
from tests.support.eventually import eventually
from tests.support.processes import Running, six_services

SECRET = b"nobody may read or change this"


@pytest.fixture(scope="module")
def live_recorder(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RecorderProcess, Path]]:
    """A recorder process and its root, for all tests of a file."""
    folder = tmp_path_factory.mktemp("recorder")
    process = RecorderProcess(folder / "runs", folder / "log")
    try:
        process.wait_until_serving()
        yield process, folder / "runs"
    finally:
        process.kill()


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TracedRecorder]:
    if shutil.which("strace") is None:
        pytest.skip("needs strace (on Debian: apt install strace)")
    with traced_recorder(tmp_path_factory.mktemp("traced")) as traced:
        yield traced


@pytest.fixture
async def stub(traced: TracedRecorder) -> AsyncIterator[Stub]:
    async with grpc.aio.insecure_channel(traced.process.target) as channel:
        stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        if not traced.is_warm:
            # What Python and gRPC load when they are first needed is not what this is about.
            run = await a_run(stub)
            for request in requests_about(run):
                await answer(stub, request)
            await answer(stub, pb.GetRunRequest(name="x"))
            traced.is_warm = True
        traced.forget()
        yield stub


@pytest.fixture
def outside(traced: TracedRecorder, tmp_path: Path) -> Iterator[Path]:
    """A file the recorder could reach, if it let itself be led."""
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    yield secret
    assert secret.read_bytes() == SECRET
    assert [one.name for one in tmp_path.iterdir()] == ["secret"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def comfy() -> AsyncIterator[FakeComfyUI]:
    """The ComfyUI of `running`, its script as it is by default when a test begins."""
    async with fake_comfyui() as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def artlab_running(
    tmp_path_factory: pytest.TempPathFactory, comfy: FakeComfyUI
) -> AsyncIterator[Running]:
    settings = {"ARTLAB_MEDIA_COMFYUI_URLS": comfy.url}
    async with six_services(tmp_path_factory.mktemp("artlab"), **settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def running(artlab_running: Running, comfy: FakeComfyUI) -> AsyncIterator[Running]:
    """All of Artlab, for the tests of a file: what one of them killed, the next one finds up again.

    Such a file says ``pytestmark = pytest.mark.asyncio(loop_scope="module")``.
    """
    yield artlab_running
    comfy.script.hang_at, comfy.script.step_seconds = None, 0.0
    for service, child in artlab_running.fleet.children.items():
        if child.exit_code is not None:
            await artlab_running.start(service)
    await eventually(lambda: not comfy.worker.remaining, 20, "the end of what is left there")
    comfy.worker.executions.clear()
