"""Exports and imports beside other work: flat memory, and never half of a run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.kit.errors import Aborted
from services.recorder.store.codec import parse_document
from tests.faults.recorder_process import RecorderProcess
from tests.integration.recorder.archives import (
    RESEARCH,
    export,
    finished_run,
    run_folders,
    unzipped,
)
from tests.integration.recorder.harness import World, digest_of, entity, picture, plan, world_of

MIB = 1024 * 1024
LARGE_BYTES = 192 * MIB
# Buffers of gRPC and a few pieces under way; the file is many times as large.
MAX_GROWTH_BYTES = 64 * MIB
CHUNK = 256 * 1024


def peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def large_upload(upload: str) -> Iterator[pb.WriteEntityRequest]:
    data = picture(LARGE_BYTES)
    for at in range(0, len(data), CHUNK):
        request = pb.WriteEntityRequest(offset=at, data=data[at : at + CHUNK])
        if not at:
            request.upload = upload
            request.entity.CopyFrom(entity(output_index=1))
        if at + CHUNK >= len(data):
            request.finish = True
            request.digest.CopyFrom(digest_of(data))
        yield request


async def large_run(stub: Any) -> str:
    request = pb.CreateRunRequest(request_id="528e5af9-59b3-4551-b101-27e13dd6e43e", run=plan())
    name: str = (await stub.CreateRun(request)).run.name
    await stub.WriteEntity(large_upload(f"{name}/uploads/large"))
    error = run_pb2.RunError(reason="SOME_REASON", message="why")
    end = pb.FinalizeRunRequest(name=name, state=run_pb2.RUN_STATE_FAILED, error=error)
    await stub.FinalizeRun(end)
    return name


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_memory_stays_flat_for_a_large_entity_out_and_in(tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    source = RecorderProcess(tmp_path / "source", tmp_path / "log")
    target = RecorderProcess(tmp_path / "target", tmp_path / "log")
    try:
        source.wait_until_serving()
        target.wait_until_serving()
        async with (
            grpc.aio.insecure_channel(source.target) as from_channel,
            grpc.aio.insecure_channel(target.target) as to_channel,
        ):
            stub: Any = recorder_pb2_grpc.RecorderServiceStub(from_channel)
            importer: Any = recorder_pb2_grpc.RecorderServiceStub(to_channel)
            name = await large_run(stub)
            wish = pb.ExportRunsRequest(
                names=[name], audience=RESEARCH, format=pb.EXPORT_FORMAT_ZIP
            )
            forget_peak(source.process.pid)
            before = peak_bytes(source.process.pid)
            with archive.open("wb") as file:
                async for piece in stub.ExportRuns(wish):
                    file.write(piece.data)
            grown = peak_bytes(source.process.pid) - before
            assert archive.stat().st_size > LARGE_BYTES
            assert grown < MAX_GROWTH_BYTES, f"export: {grown / MIB:.0f} MiB"

            async def requests() -> AsyncIterator[pb.ImportRunsRequest]:
                with archive.open("rb") as file:
                    while data := file.read(CHUNK):
                        yield pb.ImportRunsRequest(data=data)

            forget_peak(target.process.pid)
            before = peak_bytes(target.process.pid)
            answer = await importer.ImportRuns(requests())
            grown = peak_bytes(target.process.pid) - before
            assert list(answer.imported) == [name]
            assert grown < MAX_GROWTH_BYTES, f"import: {grown / MIB:.0f} MiB"
    finally:
        source.kill()
        target.kill()
    assert run_folders(tmp_path / "target") == run_folders(tmp_path / "source")


async def test_what_is_exported_while_runs_come_and_go_is_whole(tmp_path: Path) -> None:
    async with world_of("grpc", tmp_path / "runs") as world:
        kept = [await finished_run(world) for _ in range(3)]
        done = asyncio.Event()
        writing = [asyncio.create_task(come_and_go(world, done)) for _ in range(3)]
        exported, reasons = 0, set[str]()
        while exported < 15:
            try:
                archive = await export(world, filter=pb.RunFilter())
            except Aborted as error:
                reasons.add(error.reason)
                continue
            exported += 1
            check_whole(unzipped(archive), kept)
        done.set()
        await asyncio.gather(*writing)
    assert reasons <= {"RUN_DELETED_MEANWHILE"}


async def come_and_go(world: World, done: asyncio.Event) -> None:
    while not done.is_set():
        name = await finished_run(world)
        await world.call("DeleteRun", pb.DeleteRunRequest(name=name))


def check_whole(files: dict[str, bytes], kept: list[str]) -> None:
    manifest = json.loads(files["manifest.json"])
    runs = [one["run_id"] for one in manifest["runs"]]
    assert {name.removeprefix("runs/") for name in kept} <= set(runs)
    assert manifest["left_out"] == []
    for run in runs:
        document = parse_document(files[f"{run}/metadata.json"])
        names = {one["filename"] for one in document["entities"]}
        assert {f"{run}/{name}" for name in names} <= files.keys()
    assert len(files["runs.jsonl"].splitlines()) == len(runs)
