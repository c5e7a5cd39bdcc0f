"""Deletion deletes: at once for whoever asks, and every byte of it."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import ArtlabError, FailedPrecondition, NotFound
from services.recorder.store.disk import DiskStore
from services.recorder.sweeper import sweep_forever
from services.recorder.verify import verify_run
from tests.integration.recorder.harness import LIMITS, World, picture_of, stream, world_of
from tests.integration.recorder.test_recovery import interrupted
from tests.integration.recorder.test_storage_faults import failing
from tests.support.eventually import eventually
from tests.support.pictures import AROUND_BYTES
from tests.support.rpc import refused

MARKER = b"a-sentence-nobody-else-types"
# What the promise allows; in fact it is done before the answer.
GONE_SECONDS = 60.0
LARGE_BYTES = 24 * 1024 * 1024
PIECE_BYTES = 4 * 1024 * 1024


async def delete(world: World, name: str) -> None:
    await world.call("DeleteRun", pb.DeleteRunRequest(name=name))


def traces(root: Path, *needles: bytes) -> list[str]:
    """Every file below the root, or open though it has no name any more, that holds a needle."""
    found: list[str] = []
    descriptors = Path("/proc/self/fd")
    for path in [*root.rglob("*"), *descriptors.iterdir()]:
        try:
            unnamed = path.parent == descriptors and os.readlink(path).endswith(" (deleted)")
            if path.is_file() and (unnamed or path.parent != descriptors):
                data = path.read_bytes()
                found.extend(str(path) for needle in needles if needle in data)
        except OSError:
            continue  # gone while we looked
    return found


def marked(size: int) -> bytes:
    """A picture that is full of the marker."""
    return picture_of(MARKER * ((size - AROUND_BYTES) // len(MARKER)))


@pytest.fixture
async def roomy(tmp_path: Path) -> AsyncIterator[World]:
    """A recorder on a disk, through gRPC, that takes more than the way to a client can hold."""
    limits = replace(LIMITS, max_entity_bytes=2 * LARGE_BYTES)
    async with world_of("grpc", tmp_path / "runs", limits=limits) as world:
        sweeper = asyncio.create_task(sweep_forever(world.recorder))
        yield world
        sweeper.cancel()
        await asyncio.wait({sweeper})


async def test_nothing_of_a_deleted_run_is_left(roomy: World) -> None:
    served = roomy
    name, other = await served.create(), await served.create()
    await served.record(f"{name}/uploads/input", MARKER)
    large = marked(LARGE_BYTES)
    for start in range(0, len(large), PIECE_BYTES):
        end = min(start + PIECE_BYTES, len(large))
        piece = stream(
            f"{name}/uploads/o",
            large[:end],
            chunk=256 * 1024,
            start=start,
            finish=end == len(large),
        )
        output = await served.write(piece)
    await served.write(stream(f"{name}/uploads/idle", marked(50_000), finish=False))
    kept = await served.record(f"{other}/uploads/input", b"somebody else's")
    is_writing = asyncio.Event()

    async def endless() -> AsyncIterator[pb.WriteEntityRequest]:
        for message in stream(f"{name}/uploads/busy", marked(50_000), finish=False):
            yield message
        is_writing.set()
        await asyncio.Event().wait()

    writer = asyncio.create_task(served.write(endless()))
    reader = served.stub.ReadEntity(
        pb.ReadEntityRequest(name=output.entity.name, audience=run_pb2.AUDIENCE_RESEARCH),
        timeout=90,
    )
    watcher = served.stub.WatchRun(
        pb.WatchRunRequest(name=name, audience=run_pb2.AUDIENCE_RESEARCH), timeout=90
    )
    chunks, updates = aiter(reader), aiter(watcher)
    assert MARKER in (await anext(chunks)).data
    await anext(updates)
    await is_writing.wait()
    await eventually(lambda: len(traces(served.root, MARKER)) >= 4, what="four files with it")

    await delete(served, name)
    with pytest.raises(NotFound):
        await served.get(name)
    await eventually(lambda: not traces(served.root, MARKER), GONE_SECONDS, "no trace of it")
    run_id = name.removeprefix("runs/").encode()
    assert traces(served.root, run_id) == []
    assert [path for path in served.root.rglob(f"*{run_id.decode()}*")] == [
        served.root / ".tombstones" / run_id.decode()
    ]
    with pytest.raises(ArtlabError) as caught:
        await writer
    assert caught.value.reason == "UPLOAD_DISCARDED"
    async with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        async for _ in chunks:
            pass
    async with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        async for _ in updates:
            pass
    assert await served.read(kept.name) == b"somebody else's"


async def test_an_orphan_of_a_deleted_run_goes_with_it(disk: World) -> None:
    name, other = await disk.create(), await disk.create()
    await interrupted(disk, name)
    for run in (name, other):
        (disk.folder(run) / "03_interception.txt").write_bytes(MARKER)
    await disk.start()
    assert len(traces(disk.root, MARKER)) == 2
    await delete(disk, name)
    [left] = traces(disk.root, MARKER)
    assert other.removeprefix("runs/") in left


async def test_a_copy_under_a_second_name_is_left_alone(disk: World) -> None:
    name = await disk.create()
    await disk.record(f"{name}/uploads/input", MARKER)
    backup = disk.root.parent / "backup.txt"
    os.link(disk.folder(name) / "01_input.txt", backup)
    await delete(disk, name)
    assert backup.read_bytes() == MARKER


async def test_creating_a_deleted_run_again_is_refused_for_ever(world: World) -> None:
    name = await world.create()
    await delete(world, name)
    for _ in range(2):
        with pytest.raises(FailedPrecondition) as caught:
            await world.create(name.removeprefix("runs/"))
        assert caught.value.reason == "RUN_DELETED"
        with pytest.raises(NotFound):
            await world.get(name)
        await delete(world, name)
        await world.restart()


async def test_a_late_repetition_of_a_creation_is_told_that_the_run_was_deleted(
    world: World,
) -> None:
    run_id = "528e5af9-59b3-4551-b101-27e13dd6e43e"
    soon = world.deadline_in(60)
    await delete(world, await world.create(run_id, deadline=soon))
    world.clock.advance(3600)
    with pytest.raises(FailedPrecondition) as caught:
        await world.create(run_id, deadline=soon)
    assert caught.value.reason == "RUN_DELETED"


async def test_deleting_what_never_was_leaves_no_tombstone(disk: World) -> None:
    name = "runs/528e5af9-59b3-4551-b101-27e13dd6e43e"
    await delete(disk, name)
    assert not list((disk.root / ".tombstones").iterdir())
    assert await disk.create(name.removeprefix("runs/")) == name


async def test_a_restored_copy_is_deleted_again(
    disk: World, caplog: pytest.LogCaptureFixture
) -> None:
    name, kept = await disk.create(), await disk.create()
    await disk.record(f"{name}/uploads/input", MARKER)
    await disk.record(f"{kept}/uploads/input", b"kept")
    copies = {file.name: file.read_bytes() for file in disk.folder(name).iterdir()}
    await delete(disk, name)
    await disk.stop()
    disk.folder(name).mkdir()
    for file, data in copies.items():
        (disk.folder(name) / file).write_bytes(data)
    assert verify_run(disk.folder(name)) == []
    with caplog.at_level(logging.WARNING):
        await disk.start()
    assert "a deleted run has a folder: deleting it again" in caplog.messages
    with pytest.raises(NotFound):
        await disk.get(name)
    assert [run.name for run in (await disk.call("ListRuns", listing())).runs] == [kept]
    assert (disk.folder(kept) / "01_input.txt").read_bytes() == b"kept"
    await disk.recorder.sweep()
    assert traces(disk.root, MARKER) == []


def listing() -> pb.ListRunsRequest:
    return pb.ListRunsRequest(audience=run_pb2.AUDIENCE_RESEARCH)


async def test_tombstones_may_live_outside_of_what_a_backup_restores(tmp_path: Path) -> None:
    tombstones = tmp_path / "tombstones"
    run_id = "528e5af9-59b3-4551-b101-27e13dd6e43e"
    async with world_of("disk", tmp_path / "runs", tombstones=tombstones) as world:
        name = await world.create(run_id)
        await world.call("SetFavourite", pb.SetFavouriteRequest(name=name, favourite=True))
        before = {
            path.relative_to(world.root): path.read_bytes()
            for path in world.root.rglob("*")
            if path.is_file()
        }
        await delete(world, name)
        await world.stop()
        for path, data in before.items():  # all of the root, as it was
            (world.root / path).parent.mkdir(exist_ok=True)
            (world.root / path).write_bytes(data)
        await world.start()
        with pytest.raises(NotFound):
            await world.get(name)
        assert [path.name for path in tombstones.iterdir()] == [run_id]
        assert not list((world.root / ".favourites").iterdir())
        assert not world.folder(name).exists()


async def test_a_folder_of_runs_named_as_the_one_of_tombstones_deletes_none(
    tmp_path: Path,
) -> None:
    async with world_of("disk", tmp_path / "runs") as world:
        name = await world.create()
        world.tombstones = world.root
        await world.restart()
        assert (await world.get(name)).name == name
        with pytest.raises(ArtlabError):
            await delete(world, name)
        await world.restart()
        assert (await world.get(name)).name == name


def test_a_place_for_tombstones_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        DiskStore(tmp_path / "runs", tmp_path / "not mounted" / "tombstones").open()
    assert caught.value.reason == "STORE_MISSING"


@pytest.mark.parametrize("call", ["unlink", "rmdir", "rename", "ftruncate"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EBUSY])
async def test_what_cannot_be_removed_is_out_of_sight_and_tried_again(
    disk: World, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    name = await disk.create()
    await disk.record(f"{name}/uploads/input", MARKER)
    with failing(monkeypatch, call, 1 if call != "unlink" else 2, number, for_ever=True):
        await delete(disk, name)
        for _ in range(2):
            with pytest.raises(NotFound):
                await disk.get(name)
            with pytest.raises(FailedPrecondition):
                await disk.create(name.removeprefix("runs/"))
            await disk.recorder.sweep()
        assert not (await disk.call("ListRuns", listing())).runs
    await disk.recorder.sweep()
    assert traces(disk.root, MARKER) == []
    assert not list((disk.root / ".trash").iterdir())
    assert not disk.folder(name).exists()


@pytest.mark.parametrize("call", ["unlink", "rmdir", "rename"])
async def test_a_start_goes_on_though_it_cannot_remove_what_is_deleted(
    disk: World, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    name, kept = await disk.create(), await disk.create()
    await disk.record(f"{name}/uploads/input", MARKER)
    with failing(monkeypatch, call, 1 if call != "unlink" else 2, errno.EIO, for_ever=True):
        await delete(disk, name)
        await disk.restart()
        assert (await disk.get(kept)).name == kept
        with pytest.raises(NotFound):
            await disk.get(name)
    await disk.recorder.sweep()
    assert traces(disk.root, MARKER) == []


@pytest.mark.parametrize("restarts", [False, True])
async def test_with_no_room_for_a_tombstone_the_bytes_go_first(
    disk: World, monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    name = await disk.create()
    await disk.record(f"{name}/uploads/input", MARKER)
    run_id = name.removeprefix("runs/")
    real = os.open

    def no_new_files(path: str, flags: int, *rest: int, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, "no inodes")
        return real(path, flags, *rest, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_new_files)
        await delete(disk, name)
        assert traces(disk.root, MARKER) == []
        assert not (disk.root / ".tombstones" / run_id).exists()
        with pytest.raises(FailedPrecondition):
            await disk.create(run_id)
        await disk.recorder.sweep()
        if restarts:
            await disk.restart()
            with pytest.raises(NotFound):
                await disk.get(name)
    await disk.recorder.sweep()
    assert (disk.root / ".tombstones" / run_id).exists()
    assert not list((disk.root / ".trash").iterdir())
    await disk.restart()
    with pytest.raises(FailedPrecondition):
        await disk.create(run_id)


async def test_a_deletion_that_could_not_even_begin_is_told(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await disk.create()
    with failing(monkeypatch, "open", 1, errno.EIO, for_ever=True), pytest.raises(ArtlabError):
        await delete(disk, name)
    assert (await disk.get(name)).name == name
    await delete(disk, name)
    with pytest.raises(NotFound):
        await disk.get(name)


async def test_a_run_that_could_not_be_deleted_still_ends_by_its_deadline(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await disk.create(deadline=disk.deadline_in(60))
    with failing(monkeypatch, "open", 1, errno.EIO, for_ever=True), pytest.raises(ArtlabError):
        await delete(disk, name)
    disk.clock.advance(61)
    await disk.recorder.sweep()
    assert (await disk.get(name)).error.reason == "RUN_DEADLINE"


async def test_a_writer_of_a_deleted_upload_is_cut_at_once(served: World) -> None:
    name = await served.create()
    upload = f"{name}/uploads/o"

    async def endless() -> AsyncIterator[pb.WriteEntityRequest]:
        for message in stream(upload, marked(5000), finish=False):
            yield message
        await asyncio.Event().wait()

    writer = asyncio.create_task(served.write(endless()))
    await eventually(lambda: served.unfinished_bytes() > 4000)
    await served.call("DeleteUpload", pb.DeleteUploadRequest(upload=upload))
    with pytest.raises(ArtlabError) as caught:
        async with asyncio.timeout(5):
            await writer
    assert caught.value.reason == "UPLOAD_DISCARDED"
    await eventually(lambda: not traces(served.root, MARKER))
