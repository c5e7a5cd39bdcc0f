"""A store that is full, over memory, a disk and gRPC: ends find room, and work goes on later."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.clock import ManualClock
from services.kit.errors import FailedPrecondition, NotFound, ResourceExhausted
from services.recorder.index.memory import MemoryIndex
from services.recorder.recorder import Recorder
from services.recorder.store.disk import DiskStore
from services.recorder.store.memory import MemoryStore
from services.recorder.verify import verify_run
from tests.integration.recorder.harness import LIMITS, World, entity, picture, stream, world_of
from tests.support.eventually import eventually
from tests.support.small_disk import small_disk

CAPACITY_BYTES = 2 * 1024 * 1024
RESERVE_BYTES = 256 * 1024
SUCCEEDED, FAILED = run_pb2.RUN_STATE_SUCCEEDED, run_pb2.RUN_STATE_FAILED


@pytest.fixture(params=["memory", "disk", "grpc"])
async def small(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A recorder over a store of 2 MiB."""
    if request.param == "memory":
        memory = MemoryStore(CAPACITY_BYTES, RESERVE_BYTES)
        async with world_of("memory", tmp_path / "runs", memory=memory) as world:
            yield world
        return
    with small_disk(tmp_path / "disk", CAPACITY_BYTES, 400) as folder:
        kind, root = request.param, folder / "runs"
        async with world_of(kind, root, reserve_bytes=RESERVE_BYTES) as world:
            yield world


async def full(world: World, ballast: str) -> None:
    """Record into this run until not even a small thing finds room, and let that be noticed."""
    number = 0
    for size in (256 * 1024, 16 * 1024, 64):
        while True:
            number += 1
            upload = f"{ballast}/uploads/{number}"
            try:
                await world.record(upload, b"x" * size)
            except ResourceExhausted as error:
                if error.reason != "STORAGE_FULL":
                    raise
                break
    await world.recorder.sweep()


async def free(world: World, ballast: str) -> None:
    """Delete what fills it; the recorder sweeps by itself every second."""
    await world.call("DeleteRun", pb.DeleteRunRequest(name=ballast))
    await world.recorder.sweep()


async def test_when_full_nothing_new_is_taken_and_everything_else_works(small: World) -> None:
    name, ballast, other = [await small.create() for _ in range(3)]
    first = await small.record(f"{name}/uploads/a", b"first")
    await full(small, ballast)
    assert (await small.recorder.room()).is_full
    before = await small.get(name)
    for call in (
        small.create(),
        small.record(f"{name}/uploads/b", b"x" * 5000),
        small.write(stream(f"{name}/uploads/o", picture(100_000), chunk=50_000)),
        small.call("SetProgress", pb.SetProgressRequest(name=name, stage=1, step="translate")),
    ):
        with pytest.raises(ResourceExhausted) as caught:
            await call
        assert caught.value.reason == "STORAGE_FULL"
        assert caught.value.retry_after_seconds == 30
    assert await small.get(name) == before
    assert await small.read(first.name) == b"first"
    await small.call("DeleteRun", pb.DeleteRunRequest(name=other))
    with pytest.raises(NotFound):
        await small.get(other)


async def test_when_full_runs_and_outputs_still_end(small: World) -> None:
    name, failing, ballast = [await small.create() for _ in range(3)]
    late = await small.create(deadline=small.deadline_in(30))
    await small.write(stream(f"{name}/uploads/o", picture(5000), of=entity(output_index=1)))
    await full(small, ballast)
    output = run_pb2.Output(index=1, state=SUCCEEDED)
    await small.call("FinalizeOutput", pb.FinalizeOutputRequest(name=name, output=output))
    ended = await small.finalize(name, SUCCEEDED)
    assert (await small.finalize(failing, FAILED)).state == FAILED
    small.clock.advance(31)
    await small.recorder.sweep()
    assert (await small.get(late)).error.reason == "RUN_DEADLINE"
    assert (await small.recorder.room()).is_full
    await small.restart()
    assert await small.get(name) == ended
    assert (await small.get(failing)).state == FAILED


async def test_when_full_bytes_that_nobody_may_see_can_still_be_erased(small: World) -> None:
    name, ballast = await small.create(), await small.create()
    await small.write(stream(f"{name}/uploads/o", picture(5000), of=entity(output_index=1)))
    await full(small, ballast)
    request = pb.EraseEntityRequest(name=f"{name}/entities/1", reason="SAFETY_BLOCKED")
    erased = (await small.call("EraseEntity", request)).entity
    with pytest.raises(FailedPrecondition, match="ENTITY_ERASED"):
        await small.read(erased.name)
    await small.restart()
    assert list((await small.get(name)).entities) == [erased]


async def test_once_there_is_room_everything_can_be_written_again(small: World) -> None:
    name, ballast = await small.create(), await small.create()
    await full(small, ballast)
    await small.finalize(name, FAILED)
    await free(small, ballast)
    room = await small.recorder.room()
    assert not room.is_full
    assert CAPACITY_BYTES / 2 < room.free_bytes < room.total_bytes == CAPACITY_BYTES
    name = await small.create()
    await small.record(f"{name}/uploads/a", b"x" * 200_000)
    await full(small, name)  # and again
    assert (await small.finalize(name, FAILED)).state == FAILED


async def test_an_upload_that_found_no_room_goes_on_where_it_was(small: World) -> None:
    name, ballast = await small.create(), await small.create()
    data, upload = picture(100_000), f"{name}/uploads/o"
    assert (await small.write(stream(upload, data, chunk=20_000)[:2])).committed_size == 40_000
    await full(small, ballast)
    with pytest.raises(ResourceExhausted):
        await small.write(stream(upload, data, chunk=60_000, start=40_000))
    assert await small.uploaded(upload) == 40_000
    await free(small, ballast)
    written = await small.write(stream(upload, data, chunk=20_000, start=40_000))
    assert written.entity.digest.size_bytes == len(data)


async def test_a_commit_that_found_no_room_is_repeated_without_its_bytes(small: World) -> None:
    name, ballast = await small.create(), await small.create()
    data, upload = picture(60_000), f"{name}/uploads/o"
    messages = stream(upload, data, chunk=20_000)
    digest = common_pb2.Digest()
    digest.CopyFrom(messages[-1].digest)
    messages[-1].finish = False
    messages[-1].ClearField("digest")
    assert (await small.write(messages)).committed_size == len(data)
    await full(small, ballast)
    end = pb.WriteEntityRequest(
        upload=upload, offset=len(data), finish=True, digest=digest, entity=entity()
    )
    with pytest.raises(ResourceExhausted):
        await small.write([end])
    assert await small.uploaded(upload) == len(data)
    await small.restart()
    assert await small.uploaded(upload) == len(data)
    await free(small, ballast)
    assert (await small.write([end])).entity.digest == digest


class SlowSweep(DiskStore):
    """A store whose sweep ends when it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, reserve_bytes=RESERVE_BYTES)
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.is_closed_under_sweep = False
        self._sweeps = False

    def sweep(self) -> None:
        self._sweeps = True
        self.begun.set()
        assert self.go_on.wait(10)
        super().sweep()
        self._sweeps = False

    def close(self) -> None:
        self.is_closed_under_sweep = self._sweeps
        super().close()


async def test_a_stop_waits_for_the_spare_files_that_are_being_made(tmp_path: Path) -> None:
    store = SlowSweep(tmp_path / "runs")
    recorder = Recorder(store, MemoryIndex(), ManualClock(), LIMITS, 600.0)
    await recorder.open()
    sweeping = asyncio.create_task(recorder.sweep())
    await eventually(store.begun.is_set)
    sweeping.cancel()
    closing = asyncio.create_task(recorder.close())
    await asyncio.wait({sweeping})
    for _ in range(20):
        await asyncio.sleep(0.01)  # time for what must not happen
    store.go_on.set()
    await closing
    assert not store.is_closed_under_sweep


async def test_many_ends_at_once_all_find_room(small: World) -> None:
    names = [await small.create() for _ in range(24)]
    ballast = await small.create()
    await full(small, ballast)
    ended = await asyncio.gather(*(small.finalize(name, FAILED) for name in names))
    assert {run.state for run in ended} == {FAILED}
    if small.kind != "memory":
        assert [verify_run(small.folder(name)) for name in names] == [[]] * len(names)
