"""Disks that are full or broken: a clear answer, and nothing acknowledged is harmed.

The faults are injected where the operating system is called; everything of ours is real.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import Internal, NotFound, ResourceExhausted
from services.recorder.verify import verify_run
from tests.integration.recorder.harness import (
    PNG,
    World,
    digest_of,
    entity,
    picture,
    plan,
    stream,
    world_of,
)
from tests.integration.recorder.test_recovery import interrupted


@contextmanager
def failing(
    monkeypatch: pytest.MonkeyPatch, call: str, at: int, number: int, *, for_ever: bool = False
) -> Iterator[list[int]]:
    """The at-th (and every later, if for_ever) use of an os function fails; yields its count."""
    real: Callable[..., Any] = getattr(os, call)
    uses = [0]

    def faulty(*args: Any, **kwargs: Any) -> Any:
        uses[0] += 1
        if uses[0] == at or (for_ever and uses[0] > at):
            raise OSError(number, os.strerror(number))
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, faulty)
        yield uses


async def outcome(call: Awaitable[object]) -> str:
    """The reason a call was refused with by the disk; empty when it was not."""
    try:
        await call
    except (ResourceExhausted, Internal) as error:
        return error.reason
    return ""


async def healthy(world: World, name: str, files: list[str]) -> None:
    """Everything acknowledged is there, before and after a restart, and work goes on."""
    for _ in range(2):
        run = await world.get(name)
        assert [one.filename for one in run.entities] == files
        assert verify_run(world.folder(name)) == []
        await world.restart()
    last = await world.record(f"{name}/uploads/later", b"later", entity("interception"))
    assert last.sequence == len(files) + 1


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "open"])
@pytest.mark.parametrize("at", range(1, 9))
async def test_a_full_disk_at_any_call_of_a_commit_loses_nothing(
    disk: World, monkeypatch: pytest.MonkeyPatch, call: str, at: int
) -> None:
    name = await disk.create()
    await disk.record(f"{name}/uploads/a", b"first")
    files = ["01_input.txt"]
    with failing(monkeypatch, call, at, errno.ENOSPC):
        reason = await outcome(disk.record(f"{name}/uploads/b", b"second"))
        assert reason in ("", "STORAGE_FULL", "STORAGE_ERROR")
        present = [one.filename for one in (await disk.get(name)).entities]
        if reason == "STORAGE_FULL":  # a promise that nothing happened
            assert present == files
        if not reason:
            assert present == [*files, "02_input.txt"]
    # Failed or unknown: whole or absent, and repeating it settles which.
    assert (await disk.record(f"{name}/uploads/b", b"second")).sequence == 2
    await healthy(disk, name, [*files, "02_input.txt"])


async def test_a_commit_without_room_keeps_its_bytes_whatever_lies_in_the_run_folder(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await disk.create()
    upload, made = f"{name}/uploads/o", picture(3000)
    await disk.write(stream(upload, made, finish=False))
    # A start that had no room to finish a commit leaves its bytes there.
    left = disk.folder(name) / "01_output_image.png"
    left.write_bytes(picture(2000))
    finish = stream(upload, made, start=len(made))
    with failing(monkeypatch, "rename", 1, errno.ENOSPC), pytest.raises(ResourceExhausted):
        await disk.write(finish)
    assert (await disk.write(finish)).entity.digest.size_bytes == len(made)
    await healthy(disk, name, ["01_output_image.png"])


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
@pytest.mark.parametrize("at", range(1, 9))
async def test_a_broken_disk_at_any_call_of_a_commit_loses_nothing(
    disk: World, monkeypatch: pytest.MonkeyPatch, call: str, at: int
) -> None:
    name = await disk.create()
    await disk.record(f"{name}/uploads/a", b"first")
    with failing(monkeypatch, call, at, errno.EIO):
        reason = await outcome(disk.record(f"{name}/uploads/b", b"second"))
        assert reason in ("", "STORAGE_ERROR")
    assert (await disk.record(f"{name}/uploads/b", b"second")).sequence == 2
    await healthy(disk, name, ["01_input.txt", "02_input.txt"])


async def test_a_disk_that_stays_broken_refuses_writes_and_still_reads(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await disk.create()
    first = await disk.record(f"{name}/uploads/a", b"first")
    with failing(monkeypatch, "fsync", 1, errno.EIO, for_ever=True):
        for _ in range(3):
            with pytest.raises(Internal):
                await disk.record(f"{name}/uploads/b", b"second")
            with pytest.raises(Internal):
                await disk.create()
        assert await disk.read(first.name) == b"first"
        assert (await disk.get(name)).entities[0] == first
    assert (await disk.record(f"{name}/uploads/b", b"second")).sequence == 2
    await healthy(disk, name, ["01_input.txt", "02_input.txt"])


async def test_a_failed_sync_kills_the_upload_and_is_not_tried_again(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await disk.create()
    upload = f"{name}/uploads/o"
    with failing(monkeypatch, "fsync", 1, errno.EIO) as uses:
        with pytest.raises(Internal) as caught:
            await disk.write(stream(upload, picture(5000)))
        assert caught.value.reason == "STORAGE_ERROR"
        assert uses == [1]
    with pytest.raises(NotFound):
        await disk.uploaded(upload)
    assert disk.unfinished_bytes() == 0
    assert (await disk.write(stream(upload, picture(5000)))).entity.sequence == 1


async def test_bytes_a_full_disk_could_not_sync_are_not_gone_on_with(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With delayed allocation a disk says that it is full when the bytes are synced.
    name = await disk.create()
    upload = f"{name}/uploads/o"
    with failing(monkeypatch, "fsync", 1, errno.ENOSPC):
        with pytest.raises(ResourceExhausted, match="STORAGE_FULL"):
            await disk.write(stream(upload, picture(5000)))
    with pytest.raises(NotFound):
        await disk.uploaded(upload)
    assert disk.unfinished_bytes() == 0
    assert (await disk.write(stream(upload, picture(5000)))).entity.sequence == 1


async def test_a_disk_that_fills_up_keeps_the_upload_to_go_on_with(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await disk.create()
    upload = f"{name}/uploads/o"
    data = picture(5000)
    await disk.write(stream(upload, data, finish=False)[:2])
    with failing(monkeypatch, "write", 2, errno.ENOSPC):
        with pytest.raises(ResourceExhausted) as caught:
            await disk.write(stream(upload, data, start=2048))
    assert caught.value.reason == "STORAGE_FULL"
    assert caught.value.retry_after_seconds is not None
    committed = await disk.uploaded(upload)
    assert committed == 3072
    written = await disk.write(stream(upload, data, start=committed))
    assert written.entity.digest == digest_of(data)
    assert verify_run(disk.folder(name)) == []


async def test_what_was_hashed_of_a_chunk_that_found_no_room_is_forgotten(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Chunks so large that they are hashed in another thread while they are written.
    name = await disk.create()
    upload = f"{name}/uploads/o"
    data, chunk = picture(1_000_000), 200_000
    await disk.write(stream(upload, data, chunk=chunk, finish=False)[:2])
    with failing(monkeypatch, "write", 2, errno.ENOSPC):
        with pytest.raises(ResourceExhausted, match="STORAGE_FULL"):
            await disk.write(stream(upload, data, chunk=chunk, start=2 * chunk))
    assert await disk.uploaded(upload) == 3 * chunk
    written = await disk.write(stream(upload, data, chunk=chunk, start=3 * chunk))
    assert written.entity.digest == digest_of(data)
    assert verify_run(disk.folder(name)) == []


async def test_a_disk_full_at_the_commit_keeps_the_upload_to_go_on_with(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await disk.create()
    upload = f"{name}/uploads/o"
    data = picture(5000)
    with failing(monkeypatch, "write", 7, errno.ENOSPC):  # record, 5 chunks, the intent
        with pytest.raises(ResourceExhausted):
            await disk.write(stream(upload, data))
    assert not (await disk.get(name)).entities
    assert await disk.uploaded(upload) == 5000
    end = pb.WriteEntityRequest(
        upload=upload, offset=5000, finish=True, digest=digest_of(data), entity=entity()
    )
    assert (await disk.write([end])).entity.digest == digest_of(data)
    await healthy(disk, name, ["01_output_image.png"])


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "mkdir"])
@pytest.mark.parametrize("at", range(1, 4))
async def test_a_failed_creation_can_be_repeated(
    disk: World, monkeypatch: pytest.MonkeyPatch, call: str, at: int
) -> None:
    name = "runs/528e5af9-59b3-4551-b101-27e13dd6e43e"
    run_id = name.removeprefix("runs/")
    with failing(monkeypatch, call, at, errno.ENOSPC):
        await outcome(disk.create(run_id))
    assert await disk.create(run_id) == name
    listed = await disk.call("ListRuns", pb.ListRunsRequest(audience=run_pb2.AUDIENCE_RESEARCH))
    assert [run.name for run in listed.runs] == [name]
    await healthy(disk, name, [])


async def test_a_creation_that_cannot_even_be_undone_is_settled_by_who_repeats_it(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = pb.Claim(owner="one", ttl=Duration(seconds=5))
    request = pb.CreateRunRequest(
        request_id="528e5af9-59b3-4551-b101-27e13dd6e43e", run=plan(), claim=claim
    )
    # Its folder is in place, its name is not synced, and it cannot be taken back.
    with (
        failing(monkeypatch, "fsync", 3, errno.EIO),
        failing(monkeypatch, "rename", 2, errno.EIO),
    ):
        assert await outcome(disk.call("CreateRun", request)) == "STORAGE_ERROR"
    with failing(monkeypatch, "fsync", 1, errno.EIO, for_ever=True):
        assert await outcome(disk.call("CreateRun", request)) == "STORAGE_ERROR"
    created = await disk.call("CreateRun", request)
    assert isinstance(created, pb.CreateRunResponse)
    assert created.epoch
    listed = await disk.call("ListRuns", pb.ListRunsRequest(audience=run_pb2.AUDIENCE_RESEARCH))
    assert [run.name for run in listed.runs] == [created.run.name]
    await healthy(disk, created.run.name, [])


@pytest.mark.parametrize("at", range(1, 4))
async def test_a_failed_end_can_be_repeated(
    disk: World, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    name = await disk.create()
    for call in ("write", "fsync", "rename"):
        with failing(monkeypatch, call, at, errno.ENOSPC):
            await outcome(disk.finalize(name, run_pb2.RUN_STATE_CANCELLED))
    first = await disk.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    await disk.restart()
    assert await disk.get(name) == first
    assert verify_run(disk.folder(name)) == []


async def test_a_full_disk_at_start_keeps_nobody_from_reading_and_deleting(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, other = await disk.create(), await disk.create()
    first = await disk.record(f"{name}/uploads/a", b"first")
    await interrupted(disk, name, b"second")
    with failing(monkeypatch, "write", 1, errno.ENOSPC, for_ever=True):
        await disk.start()
        assert await disk.read(first.name) == b"first"
        assert len((await disk.get(name)).entities) == 1
        await disk.call("DeleteRun", pb.DeleteRunRequest(name=other))
    second = await disk.record(f"{name}/uploads/x", b"second")
    assert second.sequence == 2
    await healthy(disk, name, ["01_input.txt", "02_input.txt"])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=200", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_really_full_disk_recovers_by_itself(small_disk: Path) -> None:
    async with world_of("grpc", small_disk / "runs") as world:
        name, other = await world.create(), await world.create()
        first = await world.record(f"{name}/uploads/a", b"first")
        ballast = picture(1024 * 1024)
        await world.write(stream(f"{other}/uploads/o", ballast, chunk=256 * 1024))
        data = picture(1400 * 1024)
        upload = f"{name}/uploads/o"
        with pytest.raises(ResourceExhausted) as caught:
            await world.write(stream(upload, data, chunk=256 * 1024))
        assert caught.value.reason == "STORAGE_FULL"
        committed = await world.uploaded(upload)
        assert committed >= 256 * 1024
        assert await world.read(first.name) == b"first"
        await world.call("DeleteRun", pb.DeleteRunRequest(name=other))
        rest = stream(upload, data, start=committed, chunk=256 * 1024)
        assert (await world.write(rest)).entity.digest == digest_of(data)
        assert verify_run(world.folder(name)) == []


async def test_a_commit_that_cannot_even_be_undone_is_settled_later(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await disk.create()
    await disk.record(f"{name}/uploads/a", b"first")
    upload = f"{name}/uploads/b"
    # The record, the intent, the bytes, then metadata.json and everything after it.
    with failing(monkeypatch, "rename", 4, errno.EIO, for_ever=True):
        assert await outcome(disk.write(stream(upload, PNG))) == "STORAGE_ERROR"
        assert await outcome(disk.record(f"{name}/uploads/c", b"third")) == "STORAGE_ERROR"
    assert len((await disk.get(name)).entities) == 1
    assert (await disk.write(stream(upload, PNG))).entity.sequence == 2
    await healthy(disk, name, ["01_input.txt", "02_output_image.png"])


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
async def test_a_small_entity_that_cannot_even_be_undone_is_settled_later(
    disk: World, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    name = await disk.create()
    await disk.record(f"{name}/uploads/a", b"first")
    # The bytes are in place, metadata.json is not, and nothing can be removed.
    with (
        failing(monkeypatch, "rename", 2, number, for_ever=True),
        failing(monkeypatch, "unlink", 1, number, for_ever=True),
    ):
        for upload in "bc":
            said = await outcome(disk.record(f"{name}/uploads/{upload}", b"second"))
            assert said in ("STORAGE_ERROR", "STORAGE_FULL")
    assert len((await disk.get(name)).entities) == 1
    assert (await disk.record(f"{name}/uploads/b", b"second")).sequence == 2
    await healthy(disk, name, ["01_input.txt", "02_input.txt"])


async def test_a_run_is_ended_by_its_deadline_once_the_disk_works_again(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await disk.create(deadline=disk.deadline_in(30))
    disk.clock.advance(31)
    with failing(monkeypatch, "fsync", 1, errno.EIO, for_ever=True):
        await disk.recorder.sweep()
    await disk.recorder.sweep()
    assert (await disk.get(name)).error.reason == "RUN_DEADLINE"


async def test_a_damaged_final_run_is_left_out_of_the_list(disk: World) -> None:
    names = [await disk.create() for _ in range(3)]
    await disk.finalize(names[1], run_pb2.RUN_STATE_CANCELLED)
    (disk.folder(names[1]) / "metadata.json").write_bytes(b"{")
    listed = await disk.call("ListRuns", pb.ListRunsRequest(audience=run_pb2.AUDIENCE_RESEARCH))
    assert {run.name for run in listed.runs} == {names[0], names[2]}
