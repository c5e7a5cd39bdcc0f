"""Recorder processes for all tests of a file: one as it is, one that is watched by strace."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc.aio
import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc
from tests.faults.disturbed import Stub
from tests.faults.every_request import a_run, answer, requests_about
from tests.faults.recorder_process import RecorderProcess
from tests.faults.traced_files import TracedRecorder, traced_recorder

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
