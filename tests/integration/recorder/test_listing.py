"""Lists and counts of runs: through the service, over what happens to the folders."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import ArtlabError, InvalidArgument, NotFound, Unavailable
from services.recorder.domain.run import Run
from services.recorder.index.sqlite import SqliteIndex
from services.recorder.library import Library
from services.recorder.ports import Stamp
from services.recorder.store.disk import DiskStore
from services.recorder.store.layout import index_file
from tests.integration.recorder.harness import World, entity, world_of
from tests.integration.recorder.test_storage_faults import failing
from tests.support.eventually import eventually
from tests.support.run_folders import run_id_of, write_runs

STUDENT, ADVANCED, RESEARCH = (
    run_pb2.AUDIENCE_STUDENT,
    run_pb2.AUDIENCE_ADVANCED,
    run_pb2.AUDIENCE_RESEARCH,
)
CANCELLED, RUNNING = run_pb2.RUN_STATE_CANCELLED, run_pb2.RUN_STATE_RUNNING


async def page(
    world: World,
    audience: run_pb2.Audience.ValueType = RESEARCH,
    size: int = 200,
    token: str = "",
    **wanted: Any,
) -> pb.ListRunsResponse:
    """One page."""
    request = pb.ListRunsRequest(
        audience=audience, page_size=size, page_token=token, filter=pb.RunFilter(**wanted)
    )
    answer: pb.ListRunsResponse = await world.call("ListRuns", request)
    return answer


async def names(world: World, **values: Any) -> list[str]:
    """The names on a page."""
    return [run.name for run in (await page(world, **values)).runs]


async def stats(
    world: World, audience: run_pb2.Audience.ValueType = RESEARCH, **wanted: Any
) -> pb.GetRunStatsResponse:
    """The counts."""
    request = pb.GetRunStatsRequest(audience=audience, filter=pb.RunFilter(**wanted))
    answer: pb.GetRunStatsResponse = await world.call("GetRunStats", request)
    return answer


async def typed(
    world: World, text: str, audience: run_pb2.Audience.ValueType = STUDENT, **changes: Any
) -> str:
    """A run with an input."""
    name = await world.create(**changes)
    of = entity("input", audience=audience)
    await world.record(f"{name}/uploads/input", text.encode(), of)
    return name


async def test_a_list_says_what_get_run_says_but_for_the_entities(world: World) -> None:
    name = await typed(world, "Eine Blume")
    await world.call("SetProgress", pb.SetProgressRequest(name=name, stage=2, step="interception"))
    used = [common_pb2.ModelUse(task="interception", backend="ollama", model="m")]
    thing = entity("interception", audience=ADVANCED, models_used=used)
    await world.record(f"{name}/uploads/text", b"A flower", thing)
    for end in (False, True):
        if end:
            await world.finalize(name, run_pb2.RUN_STATE_FAILED)
        for audience in (STUDENT, ADVANCED, RESEARCH):
            request = pb.GetRunRequest(name=name, audience=audience)
            expected = (await world.call("GetRun", request)).run
            del expected.entities[:]
            (listed,) = (await page(world, audience)).runs
            assert listed == expected
    await world.restart()
    (listed,) = (await page(world)).runs
    assert listed == expected


async def test_what_was_acknowledged_is_listed_at_once(world: World) -> None:
    for number in range(20):
        world.clock.advance(0.001)
        name = await typed(world, f"Nummer {number} von vielen")
        assert await names(world, size=1) == [name]
        assert await names(world, text=f"NUMMER {number} von") == [name]
        assert await names(world, states=[RUNNING]) == []
        await world.call("SetProgress", pb.SetProgressRequest(name=name, stage=1, step="x"))
        assert await names(world, states=[RUNNING]) == [name]
        await world.finalize(name, CANCELLED)
        assert await names(world, states=[RUNNING]) == []
        if number % 2:
            await world.call("DeleteRun", pb.DeleteRunRequest(name=name))
            assert name not in await names(world)
    assert (await stats(world)).runs == 10
    await world.restart()
    assert (await stats(world)).runs == 10


async def test_every_filter_alone_and_all_together(world: World) -> None:
    other: dict[str, Any] = {
        "user_id": "somebody-else",
        "config_name": "haiku",
        "safety_level": common_pb2.SAFETY_LEVEL_KIDS,
        "outputs": [
            run_pb2.Output(
                index=1, occurrence=1, output_config="t", kind=common_pb2.MEDIA_KIND_TEXT
            )
        ],
    }
    first = await typed(world, "Ein Würfel")
    world.clock.advance(10)
    second = await typed(world, "Eine Blume", **other)
    await world.finalize(second, CANCELLED)
    middle = Timestamp()
    middle.FromDatetime(world.clock.now())
    alone: list[dict[str, Any]] = [
        {"user_id": "somebody-else"},
        {"config_names": ["haiku", "bauhaus"]},
        {"states": [CANCELLED]},
        {"safety_levels": [common_pb2.SAFETY_LEVEL_KIDS]},
        {"created_from": middle},
        {"kinds": [common_pb2.MEDIA_KIND_TEXT]},
        {"text": "BLÜME"},
    ]
    together: dict[str, Any] = {}
    for wanted in alone:
        together |= wanted
        for asked in (wanted, together):
            assert await names(world, **asked) == [second], asked
            assert (await stats(world, **asked)).runs == 1
    assert await names(world, created_before=middle) == [first]
    assert await names(world, **together, created_before=middle) == []
    assert await names(world) == [second, first]
    assert await names(world, favourites=True) == []


async def test_between_two_microseconds_begins_the_next(world: World) -> None:
    name = await world.create()
    created = (await world.get(name)).create_time
    later = Timestamp(seconds=created.seconds, nanos=created.nanos + 1)
    assert await names(world, created_from=created) == [name]
    assert await names(world, created_from=later) == []
    assert await names(world, created_before=created) == []
    assert await names(world, created_before=later) == [name]
    last = Timestamp(seconds=253_402_300_799, nanos=999_999_999)
    assert await names(world, created_before=last) == [name]


async def test_a_search_finds_only_what_the_audience_may_read(world: World) -> None:
    open_to_all = await typed(world, "Geheime Blume")
    for_research = await typed(world, "Geheime Wiese", RESEARCH)
    assert await names(world, audience=STUDENT, text="geheim") == [open_to_all]
    assert set(await names(world, text="geheim")) == {open_to_all, for_research}
    assert (await stats(world, STUDENT, text="geheim")).runs == 1
    assert (await stats(world, STUDENT)).runs == 2


async def test_the_old_field_for_a_user_means_the_same(world: World) -> None:
    mine, _ = await world.create(user_id="me"), await world.create(user_id="you")
    for old, new in (("me", ""), ("", "me"), ("me", "me")):
        request = pb.ListRunsRequest(
            audience=RESEARCH, user_id=old, filter=pb.RunFilter(user_id=new)
        )
        assert [run.name for run in (await world.call("ListRuns", request)).runs] == [mine]


async def test_a_token_is_good_for_its_list_only(world: World) -> None:
    for _ in range(3):
        await world.create()
    token = (await page(world, size=1)).next_page_token
    assert len((await page(world, size=7, token=token)).runs) == 2
    for values in ({"audience": STUDENT}, {"states": [RUNNING]}, {"text": "x"}):
        with pytest.raises(InvalidArgument) as caught:
            await page(world, token=token, **values)
        assert (caught.value.reason, caught.value.field) == ("PAGE_TOKEN_INVALID", "page_token")


async def test_pages_neither_skip_nor_repeat_while_runs_come_and_go(served: World) -> None:
    kept = [await typed(served, f"Bleibt {number}") for number in range(60)]
    doomed = [await served.create() for _ in range(30)]
    is_done = asyncio.Event()

    async def disturb() -> None:
        for name in doomed:
            await served.call("DeleteRun", pb.DeleteRunRequest(name=name))
            served.clock.advance(0.01)
            await served.finalize(await served.create(), CANCELLED)
        is_done.set()

    async def read() -> None:
        while not is_done.is_set():
            seen: list[str] = []
            token = ""
            while True:
                answer = await page(served, size=random.randint(1, 9), token=token)
                seen += [run.name for run in answer.runs]
                token = answer.next_page_token
                if not token:
                    break
            assert len(seen) == len(set(seen))
            assert set(kept) <= set(seen)

    async with asyncio.TaskGroup() as group:
        group.create_task(disturb())
        for _ in range(3):
            group.create_task(read())


async def test_counts_and_durations_through_the_service(world: World) -> None:
    for seconds in (1, 2, 3, 4):
        name = await typed(world, "abc", config_name="haiku" if seconds == 1 else "dada")
        world.clock.advance(seconds)
        await world.finalize(name, CANCELLED)
    await world.create()
    answer = await stats(world)
    assert answer.runs == 5
    assert [(one.state, one.runs) for one in answer.states] == [
        (run_pb2.RUN_STATE_PENDING, 1),
        (CANCELLED, 4),
    ]
    assert [(one.config_name, one.runs) for one in answer.configs] == [("dada", 4), ("haiku", 1)]
    seconds_of = [answer.duration_p50, answer.duration_p90, answer.duration_p99]
    assert [one.ToTimedelta().total_seconds() for one in seconds_of] == [2, 4, 4]
    assert (answer.entities, answer.size_bytes) == (4, 12)
    nothing = await stats(world, user_id="nobody")
    assert nothing == pb.GetRunStatsResponse()


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[World]:
    """A recorder over 30 finished runs that it has seen before."""
    write_runs(tmp_path / "runs", range(30))
    async with world_of("disk", tmp_path / "runs") as world:
        world.clock.advance(100)
        await world.restart()
        yield world


def folder_of(world: World, number: int) -> Path:
    return world.root / run_id_of(number).value


def expected_names(numbers: set[int]) -> list[str]:
    return [run_id_of(number).name for number in sorted(numbers, reverse=True)]


async def test_what_happened_to_folders_while_it_was_stopped_is_seen(library: World) -> None:
    copy = library.root.parent / "copy"
    shutil.copytree(folder_of(library, 1), copy)
    await library.call("DeleteRun", pb.DeleteRunRequest(name=run_id_of(2).name))
    await library.stop()
    shutil.rmtree(folder_of(library, 3))
    shutil.rmtree(folder_of(library, 1))
    (folder_of(library, 4) / "metadata.json").write_bytes(b"{")
    write_runs(library.root, range(40, 41))
    await library.start()
    assert await names(library) == expected_names({*range(30), 40} - {1, 2, 3, 4})
    await library.stop()
    shutil.copytree(copy, folder_of(library, 1))
    shutil.rmtree(folder_of(library, 4))
    write_runs(library.root, range(4, 5))
    await library.start()
    assert await names(library) == expected_names({*range(30), 40} - {2, 3})
    assert await names(library, text="nummer 1,") == expected_names({1})


async def test_what_happens_to_final_folders_while_it_runs_is_seen(library: World) -> None:
    shutil.rmtree(folder_of(library, 3))
    (folder_of(library, 4) / "metadata.json").write_bytes(b"{")
    file = folder_of(library, 5) / "metadata.json"
    file.write_bytes(file.read_bytes())
    assert await names(library) == expected_names(set(range(30)) - {3, 4})
    shutil.rmtree(folder_of(library, 4))
    write_runs(library.root, range(3, 5))
    assert await names(library) == expected_names(set(range(30)))


async def test_a_page_shorter_for_damage_still_leads_to_the_next(library: World) -> None:
    for number in range(20, 30):
        (folder_of(library, number) / "metadata.json").write_bytes(b"{")
    first = await page(library, size=10)
    assert not first.runs
    rest = await page(library, token=first.next_page_token)
    assert [run.name for run in rest.runs] == expected_names(set(range(20)))


class Watched(Library):
    """A library that tells what a start had to read."""

    def __init__(self, root: Path) -> None:
        self.store = DiskStore(root)
        super().__init__(self.store, SqliteIndex(index_file(root)))
        self.read: list[str] = []

    def found(self, run: Run, stamp: Stamp | None, *, is_durable: bool) -> None:
        self.read.append(run.run_id.name)
        super().found(run, stamp, is_durable=is_durable)


async def read_at_start(root: Path) -> list[str]:
    """Start and stop a store with its library, and return what had to be read."""
    library = Watched(root)
    contents = library.store.open(library)
    library.complete(contents.run_ids)
    await library.close()
    library.store.close()
    return sorted(library.read)


async def test_a_start_reads_only_what_is_open_or_has_changed(library: World) -> None:
    is_open = await library.create()
    was_open = await typed(library, "Eine Blume")
    await library.finalize(was_open, CANCELLED)
    await library.stop()
    assert await read_at_start(library.root) == [is_open]
    file = folder_of(library, 5) / "metadata.json"
    file.write_bytes(file.read_bytes())
    os.utime(file, ns=(0, 0))
    shutil.copytree(folder_of(library, 6), library.root.parent / "copy")
    shutil.rmtree(folder_of(library, 6))
    shutil.copytree(library.root.parent / "copy", folder_of(library, 6))
    changed = sorted([is_open, run_id_of(5).name, run_id_of(6).name])
    assert await read_at_start(library.root) == changed
    assert await read_at_start(library.root) == [is_open]
    await library.start()


async def test_a_final_run_is_not_vouched_for_by_what_replaced_it_at_once(disk: World) -> None:
    name = await disk.create()
    await disk.finalize(name, CANCELLED)
    file = disk.folder(name) / "metadata.json"
    good = file.read_bytes()
    file.write_bytes(good.replace(b'"seed": 7', b'"seed": 8'))
    assert await names(disk) == []
    await disk.stop()
    assert await read_at_start(disk.root) == []  # it is damaged
    file.write_bytes(good)
    assert await read_at_start(disk.root) == [name]
    await disk.start()


async def test_what_was_only_seen_while_it_ran_is_made_durable_by_the_next_start(
    library: World,
) -> None:
    write_runs(library.root, range(3, 3))
    shutil.rmtree(folder_of(library, 3))
    write_runs(library.root, range(3, 4))
    assert run_id_of(3).name in await names(library)
    await library.stop()
    assert await read_at_start(library.root) == [run_id_of(3).name]
    assert await read_at_start(library.root) == []
    await library.start()


@pytest.mark.parametrize("at", range(1, 4))
async def test_an_end_whose_sync_failed_is_recovered_by_the_next_start(
    disk: World, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    name = await disk.create()
    is_acknowledged = False
    with failing(monkeypatch, "fsync", at, errno.EIO, for_ever=True), suppress(ArtlabError):
        await disk.finalize(name, CANCELLED)
        is_acknowledged = True
    said = (await disk.get(name)).state
    (listed,) = (await page(disk)).runs
    assert listed.state == said
    await disk.stop()
    assert await read_at_start(disk.root) == ([] if is_acknowledged else [name])
    await disk.start()


async def test_what_a_start_could_not_make_durable_is_recovered_by_the_next(
    library: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await library.stop()
    file = folder_of(library, 5) / "metadata.json"
    file.write_bytes(file.read_bytes())
    unlucky = file.parent.stat().st_ino
    real = os.fsync

    def fsync(fd: int) -> None:
        if os.fstat(fd).st_ino == unlucky:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        await library.start()
        assert await names(library) == expected_names(set(range(30)))
        await library.stop()
    assert await read_at_start(library.root) == [run_id_of(5).name]
    assert await read_at_start(library.root) == []
    await library.start()


def removed(root: Path) -> None:
    shutil.rmtree(root / ".index")


def older(root: Path) -> None:
    with sqlite3.connect(index_file(root)) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()


def noise(root: Path) -> None:
    index_file(root).write_bytes(random.Random(1).randbytes(50_000))


def in_the_way(root: Path) -> None:
    shutil.rmtree(root / ".index")
    (root / ".index").write_text("a file")


@pytest.mark.parametrize("harm", [removed, older, noise, in_the_way])
async def test_an_index_that_is_missing_or_wrong_is_made_anew(
    library: World, harm: Callable[[Path], None]
) -> None:
    await library.stop()
    harm(library.root)
    await library.start()
    assert await names(library) == expected_names(set(range(30)))
    assert await names(library, text="nummer 17") == expected_names({17})
    name = await typed(library, "Neu")
    assert await names(library, size=1) == [name]


async def test_an_index_that_breaks_while_it_runs_is_made_anew(library: World) -> None:
    open_one = await library.create()
    await library.restart()
    index_file(library.root).write_bytes(random.Random(1).randbytes(50_000))
    with pytest.raises(Unavailable) as caught:
        await page(library)  # nothing of it is in memory
    assert caught.value.reason == "INDEX_REBUILDING"
    # The rest of the recorder does not mind.
    await library.finalize(open_one, CANCELLED)

    async def is_back() -> bool:
        try:
            return await names(library, size=1) == [open_one]
        except Unavailable:
            return False

    await eventually(is_back, what="the list")
    assert len(await names(library)) == 31
    assert (await stats(library, text="nummer 17")).runs == 1
    assert await names(library, states=[CANCELLED], size=1) == [open_one]


async def test_an_input_that_is_damaged_or_huge_is_listed_and_not_searched(
    library: World,
) -> None:
    await library.stop()
    (folder_of(library, 7) / "01_input.txt").write_bytes(b"anders")
    (folder_of(library, 8) / "01_input.txt").unlink()
    removed(library.root)
    await library.start()
    huge = await typed(library, "riesig " * 20_000)
    assert await names(library, text="wiese") == expected_names(set(range(30)) - {7, 8})
    assert await names(library, text="anders") == []
    assert await names(library, text="riesig") == []
    assert huge in await names(library)
    assert run_id_of(8).name in await names(library)


@pytest.mark.parametrize("call", ["fsync", "rename", "unlink"])
@pytest.mark.parametrize("at", range(1, 5))
async def test_a_deletion_that_fails_leaves_the_list_true(
    disk: World, monkeypatch: pytest.MonkeyPatch, call: str, at: int
) -> None:
    runs = {await disk.create(), await typed(disk, "Eine Blume")}
    for name in runs:
        with failing(monkeypatch, call, at, errno.EIO, for_ever=True), suppress(ArtlabError):
            await disk.call("DeleteRun", pb.DeleteRunRequest(name=name))
    there = set()
    for name in runs:
        with suppress(NotFound):
            there.add((await disk.get(name)).name)
    assert set(await names(disk)) == there
