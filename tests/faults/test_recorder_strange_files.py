"""Links, pipes and folders where files should be: the live process is not led away or stopped.

As in `test_recorder_names`, strace tells what it does with names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import grpc.aio
import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from tests.faults.disturbed import CALL_SECONDS, RESEARCH, Stub
from tests.faults.every_request import PICTURE, REFUSALS, a_run, answer, requests_about
from tests.faults.traced_files import TracedRecorder, is_clean
from tests.integration.recorder.harness import entity, stream
from tests.support.eventually import eventually

Put = Callable[[Path, Path], None]


def put_link(path: Path, outside: Path) -> None:
    path.unlink()
    path.symlink_to(outside)


def put_relative_link(path: Path, outside: Path) -> None:
    path.unlink()
    path.symlink_to(os.path.relpath(outside, path.parent))


def put_fifo(path: Path, outside: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def put_folder(path: Path, outside: Path) -> None:
    path.unlink()
    path.mkdir()


def put_socket(path: Path, outside: Path) -> None:
    path.unlink()
    os.mknod(path, 0o140644)


STRANGE = [put_link, put_relative_link, put_fifo, put_folder, put_socket]


@pytest.mark.parametrize("put", STRANGE)
async def test_something_else_in_the_place_of_an_entity_is_damage(
    traced: TracedRecorder, stub: Stub, outside: Path, put: Put
) -> None:
    run = await a_run(stub)
    folder = traced.root / run.removeprefix("runs/")
    put(folder / "01_input.txt", outside)
    entity_1, entity_2 = (
        pb.ReadEntityRequest(name=f"{run}/entities/{number}", audience=RESEARCH)
        for number in (1, 2)
    )
    assert await answer(stub, entity_1) == "DATA_LOSS"
    assert await answer(stub, entity_2) == "OK"
    await answer(stub, pb.DeleteRunRequest(name=run))
    await eventually(lambda: not folder.exists())
    await is_clean(traced, stub)


@pytest.mark.parametrize("put", STRANGE)
async def test_something_else_in_the_place_of_metadata_is_damage(
    traced: TracedRecorder, stub: Stub, outside: Path, put: Put
) -> None:
    run = await a_run(stub)
    error = run_pb2.RunError(reason="SOME_REASON", message="why")
    final = pb.FinalizeRunRequest(name=run, state=run_pb2.RUN_STATE_FAILED, error=error)
    assert await answer(stub, final) == "OK"
    folder = traced.root / run.removeprefix("runs/")
    put(folder / "metadata.json", outside)
    get = pb.GetRunRequest(name=run, include_document=True, audience=RESEARCH)
    assert await answer(stub, get) == "DATA_LOSS"
    for request in requests_about(run):
        assert await answer(stub, request) in REFUSALS | {"OK"}
    await answer(stub, pb.DeleteRunRequest(name=run))
    await eventually(lambda: not folder.exists())
    await is_clean(traced, stub)


async def test_a_run_folder_that_leads_elsewhere_is_not_followed(
    traced: TracedRecorder, stub: Stub, outside: Path
) -> None:
    run = await a_run(stub)
    error = run_pb2.RunError(reason="SOME_REASON", message="why")
    final = pb.FinalizeRunRequest(name=run, state=run_pb2.RUN_STATE_FAILED, error=error)
    assert await answer(stub, final) == "OK"
    folder = traced.root / run.removeprefix("runs/")
    elsewhere = traced.root.parent / "elsewhere"
    shutil.copytree(folder, elsewhere)
    before = {path.name: path.read_bytes() for path in elsewhere.iterdir()}
    shutil.rmtree(folder)
    folder.symlink_to(elsewhere)
    for request in requests_about(run):
        if isinstance(request, pb.CreateRunRequest):
            request.request_id = run.removeprefix("runs/")
        is_about = any(getattr(request, at, "").startswith(run) for at in ("name", "upload"))
        # Also a damaged run may be marked as worth keeping.
        if is_about and not isinstance(request, pb.SetFavouriteRequest):
            assert await answer(stub, request) != "OK", request
    assert await answer(stub, pb.DeleteRunRequest(name=run)) == "OK"
    await eventually(lambda: not folder.is_symlink())
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == before
    await is_clean(traced, stub)


async def test_links_that_wait_where_the_recorder_writes_are_not_followed(
    traced: TracedRecorder, stub: Stub, outside: Path
) -> None:
    run = await a_run(stub)
    run_id = run.removeprefix("runs/")
    uploads, folder = traced.root / ".uploads", traced.root / run_id
    waiting = [
        *(uploads / f"{run_id}.u.{suffix}" for suffix in ("data", "json", "intent")),
        *(uploads / f"{run_id}.u.{suffix}.tmp" for suffix in ("json", "intent")),
        folder / "metadata.json.tmp",
        folder / "03_output_image.png",
        folder / "04_input.txt",
    ]
    for path in waiting:
        path.symlink_to(outside)
    for upload in ("u", "v"):
        messages = stream(f"{run}/uploads/{upload}", PICTURE)
        await answer(stub, messages[0])
        try:
            await stub.WriteEntity(iter(messages[1:]), timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError:
            pass
        record = pb.RecordEntityRequest(
            upload=f"{run}/uploads/{upload}-small", entity=entity("input"), data=b"x"
        )
        await answer(stub, record)
    await answer(stub, pb.DeleteRunRequest(name=run))
    await is_clean(traced, stub)
