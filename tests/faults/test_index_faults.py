"""The index under kills, on a full disk, and over very many runs: lists stay true."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import orjson
import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.recorder import purging
from services.recorder.store.layout import index_file
from tests.faults.recorder_process import RecorderProcess
from tests.integration.recorder.harness import entity, plan, world_of
from tests.integration.recorder.test_listing import names, stats
from tests.support.eventually import eventually
from tests.support.run_folders import run_id_of, write_runs
from tests.support.small_disk import fill_bytes, small_disk

RESEARCH = run_pb2.AUDIENCE_RESEARCH
CANCELLED = run_pb2.RUN_STATE_CANCELLED
MARKER = b"Jabberwocky"
FEW, MANY = 2, 100


@asynccontextmanager
async def stub_of(
    process: RecorderProcess,
) -> AsyncIterator[recorder_pb2_grpc.RecorderServiceAsyncStub]:
    """The recorder's calls."""
    async with grpc.aio.insecure_channel(process.target) as channel:
        yield recorder_pb2_grpc.RecorderServiceStub(channel)


async def everything(
    stub: recorder_pb2_grpc.RecorderServiceAsyncStub, **wanted: Any
) -> dict[str, run_pb2.Run]:
    """Every run of the list, by name."""
    found: dict[str, run_pb2.Run] = {}
    token = ""
    while True:
        request = pb.ListRunsRequest(
            audience=RESEARCH, page_size=200, page_token=token, filter=pb.RunFilter(**wanted)
        )
        page = await stub.ListRuns(request, timeout=60)
        assert not found.keys() & {run.name for run in page.runs}
        found |= {run.name: run for run in page.runs}
        token = page.next_page_token
        if not token:
            return found


async def change_until_it_dies(
    process: RecorderProcess, number: int, chance: random.Random
) -> None:
    """Make, fill, end and delete runs."""
    try:
        async with stub_of(process) as stub:
            while True:
                number += 1
                run_id = run_id_of(number)
                request = pb.CreateRunRequest(request_id=run_id.value, run=plan())
                await stub.CreateRun(request, timeout=10)
                await stub.RecordEntity(
                    pb.RecordEntityRequest(
                        upload=f"{run_id.name}/uploads/input",
                        entity=entity("input"),
                        data=f"Nummer {number} Ende".encode(),
                    ),
                    timeout=10,
                )
                if chance.random() < 0.7:
                    end = pb.FinalizeRunRequest(name=run_id.name, state=CANCELLED)
                    await stub.FinalizeRun(end, timeout=10)
                if chance.random() < 0.3:
                    await stub.DeleteRun(pb.DeleteRunRequest(name=run_id.name), timeout=10)
                if chance.random() < 0.3:
                    await everything(stub, text=f"nummer {number}")
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017


def on_disk(root: Path) -> dict[str, dict[str, Any]]:
    """What the folders say, by name."""
    return {
        f"runs/{folder.name}": orjson.loads((folder / "metadata.json").read_bytes())
        for folder in root.iterdir()
        if not folder.name.startswith(".")
    }


async def kill_and_compare(tmp_path: Path, rounds: int) -> None:
    chance = random.Random(7)
    root = tmp_path / "runs"
    for turn in range(rounds):
        process = RecorderProcess(root, tmp_path / "log")
        await asyncio.to_thread(process.wait_until_serving)
        clients = [
            asyncio.create_task(
                change_until_it_dies(process, turn * 100_000 + client * 10_000, chance)
            )
            for client in range(3)
        ]
        await asyncio.sleep(chance.uniform(0.1, 1.2))  # killed at any moment
        process.kill()
        await asyncio.gather(*clients)
        process = RecorderProcess(root, tmp_path / "log")
        await asyncio.to_thread(process.wait_until_serving)
        try:
            async with stub_of(process) as stub:
                listed = await everything(stub)
                told = on_disk(root)
                assert listed.keys() == told.keys()
                for name, run in listed.items():
                    assert run_pb2.RunState.Name(run.state) == (
                        f"RUN_STATE_{told[name]['status'].upper()}"
                    )
                    assert run.progress.completed == len(told[name]["entities"])
                    assert run.last_event_seq == len(told[name]["events"])
                typed = {name for name, one in told.items() if one["entities"]}
                assert (await everything(stub, text="NUMMER")).keys() == typed
        finally:
            process.kill()


@pytest.mark.timeout(120)
async def test_killed_at_any_moment_the_list_is_what_the_folders_say(tmp_path: Path) -> None:
    await kill_and_compare(tmp_path, FEW)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_killed_many_times_the_list_is_what_the_folders_say(tmp_path: Path) -> None:
    await kill_and_compare(tmp_path, MANY)


async def test_on_a_full_disk_lists_stay_true_and_nothing_deleted_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "RETRY_SECONDS", 0.5)
    monkeypatch.setattr(purging, "MAX_UNPURGED_SECONDS", 3.0)
    with small_disk(tmp_path / "disk", 3 * 1024 * 1024, 400) as folder:
        root = folder / "runs"
        async with world_of("grpc", root, reserve_bytes=256 * 1024) as world:
            doomed = await world.create()
            await world.record(f"{doomed}/uploads/input", MARKER + b" one")
            kept = await world.create()
            await world.record(f"{kept}/uploads/input", b"Bleibt")
            assert len(await names(world)) == 2
            ballast = folder / "ballast"
            fill_bytes(ballast)
            await world.finalize(kept, CANCELLED)
            assert await names(world, states=[CANCELLED]) == [kept]
            await world.call("DeleteRun", pb.DeleteRunRequest(name=doomed))
            assert await names(world) == [kept]
            assert (await stats(world)).runs == 1

            def is_gone() -> bool:
                files = [one for one in root.rglob("*") if one.is_file()]
                return not any(MARKER.lower() in one.read_bytes().lower() for one in files)

            await eventually(is_gone, 60, "no trace of it")
            assert await names(world, text="bleibt") == [kept]
            await world.restart()
            assert await names(world, text="bleibt") == [kept]
            ballast.unlink()
            await world.recorder.sweep()
            new = await world.create()
            assert set(await names(world)) == {kept, new}
            await world.restart()
            assert set(await names(world)) == {kept, new}


async def over_many_runs(tmp_path: Path, count: int) -> None:
    root = tmp_path / "runs"
    write_runs(root, range(count))
    log = tmp_path / "log"
    for start in range(2):
        process = RecorderProcess(root, log)
        try:
            await asyncio.to_thread(process.wait_until_serving, 1200.0)
            async with stub_of(process) as stub:
                listed = list(await everything(stub))
                assert listed == [run_id_of(n).name for n in reversed(range(count))]
                answer = await stub.GetRunStats(
                    pb.GetRunStatsRequest(audience=RESEARCH), timeout=60
                )
                assert (answer.runs, answer.entities) == (count, 2 * count)
                some = range(0, count, count // 7)
                for number in some:
                    wanted = f"nummer {number},"
                    assert list(await everything(stub, text=wanted)) == [run_id_of(number).name]
        finally:
            assert process.terminate() == 0
        lines = [json.loads(line) for line in log.read_bytes().splitlines()]
        progress = [line for line in lines if line["event"] == "recovering runs"]
        assert all(line["total"] == count for line in progress)
        if start == 0:
            assert index_file(root).stat().st_size > 500 * count
            log.unlink()
        else:
            assert not progress


@pytest.mark.timeout(180)
async def test_two_thousand_runs_are_listed_searched_and_counted(tmp_path: Path) -> None:
    await over_many_runs(tmp_path, 2000)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_hundred_thousand_runs_are_listed_searched_and_counted(tmp_path: Path) -> None:
    await over_many_runs(tmp_path, 100_000)
