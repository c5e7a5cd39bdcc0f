"""The real process looks after its runs by itself: it checks them, and deletes old ones."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import grpc.aio

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from tests.faults.recorder_process import RecorderProcess
from tests.integration.recorder.harness import entity, plan
from tests.support.eventually import eventually

RESEARCH = run_pb2.AUDIENCE_RESEARCH


async def final_run(
    stub: recorder_pb2_grpc.RecorderServiceAsyncStub, *, favourite: bool = False
) -> str:
    run_id = str(uuid.uuid4())
    await stub.CreateRun(pb.CreateRunRequest(request_id=run_id, run=plan(outputs=[])), timeout=10)
    name = f"runs/{run_id}"
    # Before it can be old.
    await stub.SetFavourite(pb.SetFavouriteRequest(name=name, favourite=favourite), timeout=10)
    text = pb.RecordEntityRequest(
        upload=f"{name}/uploads/a", entity=entity("input"), data=b"Eine Blume"
    )
    await stub.RecordEntity(text, timeout=10)
    end = pb.FinalizeRunRequest(name=name, state=run_pb2.RUN_STATE_SUCCEEDED)
    await stub.FinalizeRun(end, timeout=10)
    return name


async def test_it_checks_its_runs_and_tells_what_is_damaged(tmp_path: Path) -> None:
    root, log = tmp_path / "runs", tmp_path / "log"
    first = RecorderProcess(root, log, scrub_bytes_per_second="0")
    try:
        first.wait_until_serving()
        async with grpc.aio.insecure_channel(first.target) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)
            sound, damaged = await final_run(stub), await final_run(stub)
    finally:
        first.kill()
    (root / damaged.removeprefix("runs/") / "01_input.txt").write_bytes(b"Eine Blum?")
    process = RecorderProcess(root, log)
    try:
        process.wait_until_serving()
        async with grpc.aio.insecure_channel(process.target) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)

            async def walked() -> bool:
                status = await stub.GetStoreStatus(pb.GetStoreStatusRequest(), timeout=10)
                return status.HasField("scrub_finish_time")

            await eventually(walked, 30)
            status = await stub.GetStoreStatus(pb.GetStoreStatusRequest(), timeout=10)
        assert [(one.name, one.message) for one in status.damages] == [
            (damaged, "01_input.txt: not the recorded SHA-256")
        ]
        assert (status.runs, status.scrubbed_runs) == (2, 2)
        assert process.terminate() == 0
    finally:
        process.kill()
    told = [one for one in map(json.loads, log.read_text().splitlines()) if one["level"] == "ERROR"]
    assert [(one["event"], one["run"]) for one in told] == [
        ("a run is damaged", damaged.removeprefix("runs/"))
    ]
    assert sound.removeprefix("runs/") not in str(told)


async def test_it_deletes_what_is_old_and_keeps_favourites(tmp_path: Path) -> None:
    process = RecorderProcess(
        tmp_path / "runs",
        tmp_path / "log",
        retention_days="0.00001",  # about a second
        retention_interval_seconds="1",
    )
    try:
        process.wait_until_serving()
        async with grpc.aio.insecure_channel(process.target) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)
            kept, old = await final_run(stub, favourite=True), await final_run(stub)

            async def left() -> list[str]:
                listed = await stub.ListRuns(pb.ListRunsRequest(audience=RESEARCH), timeout=10)
                return [run.name for run in listed.runs]

            async def is_over() -> bool:
                return await left() == [kept]

            await eventually(is_over, 30)
        tombstones = [path.name for path in (tmp_path / "runs" / ".tombstones").iterdir()]
        assert tombstones == [old.removeprefix("runs/")]
        assert not (tmp_path / "runs" / old.removeprefix("runs/")).exists()
        assert process.terminate() == 0
    finally:
        process.kill()
