"""Favourites: marked, told, kept over restarts, gone with their run."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence

import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import ArtlabError, InvalidArgument, NotFound
from tests.integration.recorder.harness import World
from tests.integration.recorder.test_storage_faults import failing


async def mark(world: World, name: str, favourite: bool = True) -> bool:
    request = pb.SetFavouriteRequest(name=name, favourite=favourite)
    answer = await world.call("SetFavourite", request)
    return bool(answer.favourite)


async def listed(world: World, *, favourites: bool = False) -> Sequence[run_pb2.Run]:
    request = pb.ListRunsRequest(
        audience=run_pb2.AUDIENCE_STUDENT, filter=pb.RunFilter(favourites=favourites)
    )
    runs: Sequence[run_pb2.Run] = (await world.call("ListRuns", request)).runs
    return runs


async def test_a_favourite_is_told_wherever_a_run_is(world: World) -> None:
    name, other = await world.create(), await world.create()
    assert not (await world.get(name)).favourite
    assert await mark(world, name)
    for _ in range(2):
        assert (await world.get(name)).favourite
        assert not (await world.get(other)).favourite
        assert {run.name: run.favourite for run in await listed(world)} == {
            name: True,
            other: False,
        }
        assert [run.name for run in await listed(world, favourites=True)] == [name]
        await world.restart()


async def test_set_favourite_is_idempotent(world: World) -> None:
    name = await world.create()
    for wanted in (True, True, False, False, True):
        assert await mark(world, name, wanted) is wanted
        assert (await world.get(name)).favourite is wanted
    await world.restart()
    assert (await world.get(name)).favourite


async def test_a_mark_is_no_change_of_the_record(disk: World) -> None:
    name = await disk.create()
    await disk.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    before = {file: file.read_bytes() for file in disk.folder(name).iterdir()}
    await mark(disk, name)
    assert {file: file.read_bytes() for file in disk.folder(name).iterdir()} == before


async def test_only_a_run_that_is_there_can_be_a_favourite(world: World) -> None:
    with pytest.raises(NotFound) as caught:
        await mark(world, "runs/528e5af9-59b3-4551-b101-27e13dd6e43e")
    assert caught.value.reason == "RUN_NOT_FOUND"
    with pytest.raises(InvalidArgument):
        await mark(world, "runs/../x")
    if world.kind != "memory":
        assert not list((world.root / ".favourites").iterdir())


async def test_a_mark_goes_with_its_run(disk: World) -> None:
    name = await disk.create()
    await mark(disk, name)
    assert [path.name for path in (disk.root / ".favourites").iterdir()] == [disk.folder(name).name]
    await disk.call("DeleteRun", pb.DeleteRunRequest(name=name))
    assert not list((disk.root / ".favourites").iterdir())
    assert not await listed(disk, favourites=True)


async def test_a_damaged_run_can_be_marked(disk: World) -> None:
    name = await disk.create()
    await disk.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    (disk.folder(name) / "metadata.json").write_bytes(b"{}")
    assert await mark(disk, name)


@pytest.mark.parametrize("call", ["open", "fsync"])
async def test_a_mark_that_is_not_durable_is_not_answered(
    disk: World, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    name = await disk.create()
    with failing(monkeypatch, call, 1, errno.EIO), pytest.raises(ArtlabError) as caught:
        await mark(disk, name)
    assert caught.value.reason == "STORAGE_ERROR"
    assert not (await disk.get(name)).favourite
    assert await mark(disk, name)
    await disk.restart()
    assert (await disk.get(name)).favourite


async def test_a_mark_that_could_not_be_taken_away_durably_is_taken_away_again(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await disk.create()
    await mark(disk, name)
    with failing(monkeypatch, "fsync", 1, errno.EIO), pytest.raises(ArtlabError):
        await mark(disk, name, favourite=False)
    with failing(monkeypatch, "unlink", 99, 0) as unlinked:
        assert not await mark(disk, name, favourite=False)
    assert unlinked[0] == 2, "a change of its own to be synced"
    await disk.restart()
    assert not (await disk.get(name)).favourite


async def test_marks_and_a_deletion_at_the_same_time_leave_no_mark(disk: World) -> None:
    for _ in range(10):
        name = await disk.create()
        await asyncio.gather(
            *(mark(disk, name) for _ in range(3)),
            disk.call("DeleteRun", pb.DeleteRunRequest(name=name)),
            *(mark(disk, name, favourite=False) for _ in range(2)),
            return_exceptions=True,
        )
        with pytest.raises(NotFound):
            await disk.get(name)
    assert not list((disk.root / ".favourites").iterdir())
