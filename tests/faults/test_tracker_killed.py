"""The recorder is killed between record and tracker: the next one finds what is missing."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.kit.channel import open_channel
from services.kit.ids import RunId
from services.recorder.domain.execution import RunExecution, execution_of
from services.recorder.store.codec import decode_run
from services.recorder.store.layout import tracker_file
from services.recorder.tracker.choice import tracker_of
from services.recorder.tracker.ports import EVERY_RUN
from tests.faults.recorder_process import RecorderProcess, free_port
from tests.integration.recorder.harness import entity, plan
from tests.support.eventually import eventually
from tests.support.postgres import address_of, database
from tests.support.tcp_proxy import TcpProxy

QUICK_ROUNDS, LONG_ROUNDS = 3, 60


@asynccontextmanager
async def recorder(root: Path, setting: str) -> AsyncIterator[Any]:
    """A process that serves, killed at the end."""
    process = RecorderProcess(root, root.with_name("recorder.log"), tracker=setting)
    try:
        await asyncio.to_thread(process.wait_until_serving)
        async with open_channel(process.target) as channel:
            yield recorder_pb2_grpc.RecorderServiceStub(channel)
    finally:
        process.kill()


async def create(stub: Any) -> str:
    request = pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=plan())
    return str((await stub.CreateRun(request, timeout=10)).run.name)


async def go_on(stub: Any, name: str) -> None:
    await stub.SetProgress(
        pb.SetProgressRequest(name=name, stage=1, step="translation_and_safety"), timeout=10
    )
    await stub.RecordEntity(
        pb.RecordEntityRequest(upload=f"{name}/uploads/a", entity=entity("input"), data=b"a text"),
        timeout=10,
    )


async def cancel(stub: Any, name: str) -> None:
    request = pb.FinalizeRunRequest(name=name, state=run_pb2.RUN_STATE_CANCELLED)
    await stub.FinalizeRun(request, timeout=10)


def recorded(root: Path) -> dict[RunId, RunExecution]:
    """The rows as they must be: by the folders themselves."""
    found = [path.parent for path in root.glob("*/metadata.json")]
    runs = [decode_run((one / "metadata.json").read_bytes(), RunId(one.name)) for one in found]
    return {run.run_id: execution_of(run) for run in runs}


def rows(root: Path, setting: str) -> dict[RunId, RunExecution]:
    """The rows as they are."""
    tracker = tracker_of(setting, tracker_file(root))
    assert tracker is not None
    tracker.open((root / ".store_id").read_text().strip())
    try:
        return {one.run_id: one for one in tracker.newest(EVERY_RUN, 1000)}
    finally:
        tracker.close()


async def caught_up(root: Path, setting: str) -> None:
    await eventually(lambda: (root / ".store_id").exists(), 10, "the first start")

    async def agree() -> bool:
        return await asyncio.to_thread(rows, root, setting) == recorded(root)

    await eventually(agree, 20, "the tracker has caught up")


async def test_a_recorder_killed_before_a_frozen_database_heard_of_it_catches_up(
    tmp_path: Path,
) -> None:
    root = tmp_path / "runs"
    with database() as url:
        server = sa.make_url(url)
        async with TcpProxy(str(server.host), server.port or 5432) as proxy:
            through = address_of(str(server.database), host="127.0.0.1", port=proxy.port)
            async with recorder(root, through) as stub:
                ended, deleted = await create(stub), await create(stub)
                await caught_up(root, url)
                proxy.freeze()
                await go_on(stub, ended)
                await cancel(stub, ended)
                await stub.DeleteRun(pb.DeleteRunRequest(name=deleted), timeout=10)
                await create(stub)
                before = await asyncio.to_thread(rows, root, url)
            assert len(before) == 2
            assert before != recorded(root)
            proxy.thaw()
            async with recorder(root, through):
                await caught_up(root, url)


@pytest.mark.parametrize(
    "rounds", [QUICK_ROUNDS, pytest.param(LONG_ROUNDS, marks=pytest.mark.long)]
)
async def test_a_recorder_killed_at_random_leaves_no_row_wrong(tmp_path: Path, rounds: int) -> None:
    root, chance = tmp_path / "runs", random.Random(rounds)
    for _ in range(rounds):
        async with recorder(root, "sqlite") as stub:
            for _ in range(chance.randint(1, 8)):
                name = await create(stub)
                await go_on(stub, name)
                if chance.random() < 0.5:
                    await cancel(stub, name)
                if chance.random() < 0.2:
                    await stub.DeleteRun(pb.DeleteRunRequest(name=name), timeout=10)
            await asyncio.sleep(chance.random() * 0.3)
    async with recorder(root, "sqlite"):
        await caught_up(root, "sqlite")


async def test_a_recorder_whose_database_never_answers_serves_all_the_same(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    nowhere = f"postgresql://u:secret-word@127.0.0.1:{free_port()}/d"
    async with recorder(root, nowhere) as stub:
        name = await create(stub)
        await go_on(stub, name)
        await cancel(stub, name)
        log = tmp_path / "recorder.log"
        await eventually(lambda: "tracker is down" in log.read_text(), 10, "a word of it")
    assert [one.status.value for one in recorded(root).values()] == ["cancelled"]
    assert "secret-word" not in log.read_text()
