"""The scrubber: everything is looked at, damage is told, nobody else is kept waiting."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import DataLoss
from services.recorder.care import CareLimits
from services.recorder.scrubber import ScrubLimits
from tests.integration.recorder.harness import World, picture, stream, world_of
from tests.integration.recorder.test_storage_faults import failing
from tests.support.eventually import eventually

WEEK = 7 * 86400.0
CARE = CareLimits(scrub=ScrubLimits(bytes_per_second=1e9, interval_seconds=WEEK))


async def status(world: World) -> pb.GetStoreStatusResponse:
    answer: pb.GetStoreStatusResponse = await world.call(
        "GetStoreStatus", pb.GetStoreStatusRequest()
    )
    return answer


async def damages(world: World) -> list[tuple[str, str]]:
    return [(one.name, one.message) for one in (await status(world)).damages]


async def final_run(world: World, text: bytes = b"Eine Blume") -> str:
    name = await world.create(outputs=[])
    await world.record(f"{name}/uploads/a", text)
    await world.finalize(name, run_pb2.RUN_STATE_SUCCEEDED)
    return name


def flip(file: Path, at: int = -1) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def other_seed(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b'"seed": 7', b'"seed": 8'))


async def test_a_sound_store_is_walked_through(world_kind: str, tmp_path: Path) -> None:
    async with world_of(world_kind, tmp_path / "runs", care=CARE) as world:
        before = await status(world)
        assert not before.HasField("scrub_start_time")
        for _ in range(3):
            await final_run(world)
        open_run = await world.create()
        await world.recorder.care.scrubber.scrub()
        after = await status(world)
        assert (after.runs, after.open_runs, after.scrubbed_runs) == (4, 1, 3)
        assert after.scrub_start_time.ToDatetime() <= after.scrub_finish_time.ToDatetime()
        assert not after.damages
        assert after.total_bytes >= after.free_bytes > 0
        assert not after.is_full
        await world.finalize(open_run, run_pb2.RUN_STATE_CANCELLED)
        await world.recorder.care.scrubber.scrub()
        assert (await status(world)).scrubbed_runs == 3, "not before it is time again"
        world.clock.advance(WEEK)
        await world.recorder.care.scrubber.scrub()
        assert (await status(world)).scrubbed_runs == 4


@pytest.fixture(params=["memory", "disk", "grpc"])
def world_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of world."""
    return str(request.param)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: flip(folder / "01_input.txt"), "01_input.txt: not the recorded SHA-256"),
        (
            lambda folder: (folder / "01_input.txt").write_bytes(b"short"),
            "01_input.txt: 5 bytes instead of 10",
        ),
        (
            lambda folder: (folder / "01_input.txt").unlink(),
            "01_input.txt: No such file or directory",
        ),
        (
            lambda folder: other_seed(folder / "metadata.json"),
            "metadata.json: the checksum does not match",
        ),
        (
            lambda folder: (folder / "metadata.json").unlink(),
            "metadata.json: No such file or directory",
        ),
        (
            lambda folder: (folder / "02_input.txt").write_bytes(b"x"),
            "02_input.txt: not listed in metadata.json",
        ),
    ],
)
async def test_damage_is_told_once_and_until_it_is_mended(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    break_it: Callable[[Path], None],
    message: str,
) -> None:
    async with world_of("grpc", tmp_path / "runs", care=CARE) as world:
        name, other = await final_run(world), await final_run(world)
        good = {file: file.read_bytes() for file in world.folder(name).iterdir()}
        break_it(world.folder(name))
        for _ in range(2):
            world.clock.advance(WEEK)
            await world.recorder.care.scrubber.scrub()
            assert await damages(world) == [(name, message)]
            assert (await world.get(other)).name == other
        assert [one.message for one in caplog.records].count("a run is damaged") == 1
        assert (await status(world)).damages[0].time.ToDatetime().year == 2026
        for file in world.folder(name).iterdir():
            file.unlink()
        for file, data in good.items():
            file.write_bytes(data)
        world.clock.advance(WEEK)
        await world.recorder.care.scrubber.scrub()
        assert await damages(world) == []


async def test_damage_found_at_start_is_told_before_any_walk(tmp_path: Path) -> None:
    async with world_of("disk", tmp_path / "runs") as world:
        name = await world.create()
        await world.stop()
        flip(world.folder(name) / "metadata.json", 30)
        await world.start()
        assert await damages(world) == [(name, "metadata.json: damaged")]
        await world.call("DeleteRun", pb.DeleteRunRequest(name=name))
        assert await damages(world) == []


async def test_a_walk_goes_on_after_a_restart_and_damage_is_not_forgotten(
    tmp_path: Path,
) -> None:
    slow = CareLimits(scrub=ScrubLimits(bytes_per_second=2e4, interval_seconds=WEEK))
    async with world_of("disk", tmp_path / "runs", care=slow) as world:
        names = sorted([await final_run(world) for _ in range(20)])
        flip(world.folder(names[0]) / "01_input.txt")
        store = world.recorder.care.scrubber
        walk = asyncio.create_task(store.scrub())
        await eventually(lambda: store.state.runs >= 5)
        walk.cancel()
        await asyncio.wait({walk})
        await store.keep()
        seen = store.state.runs
        assert 5 <= seen < 20
        world.care = CARE
        await world.restart()
        assert (await status(world)).scrubbed_runs == seen
        assert await damages(world) == [(names[0], "01_input.txt: not the recorded SHA-256")]
        # Behind it already: the next walk finds it.
        flip(world.folder(names[1]) / "01_input.txt")
        flip(world.folder(names[19]) / "01_input.txt")
        await world.recorder.care.scrubber.scrub()
        after = await status(world)
        assert after.scrubbed_runs == 20
        assert [one.name for one in after.damages] == [names[19], names[0]]


@pytest.mark.parametrize("state", [b"", b"{", b"[]", b'{"position": 7}', b"\xff" * 100])
async def test_a_state_that_cannot_be_read_begins_a_new_walk(tmp_path: Path, state: bytes) -> None:
    async with world_of("disk", tmp_path / "runs", care=CARE) as world:
        await final_run(world)
        await world.stop()
        (world.root / ".scrub.json").write_bytes(state)
        await world.start()
        await world.recorder.care.scrubber.scrub()
        assert (await status(world)).scrubbed_runs == 1
        assert orjson.loads((world.root / ".scrub.json").read_bytes())["runs"] == 1


async def test_a_run_that_is_deleted_under_the_scrubber_is_no_damage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slow = CareLimits(scrub=ScrubLimits(bytes_per_second=4e6, interval_seconds=WEEK))
    async with world_of("disk", tmp_path / "runs", care=slow) as world:
        name = await world.create(outputs=[])
        data = picture(3 * 1024 * 1024)
        await world.write(stream(f"{name}/uploads/o", data, chunk=256 * 1024))
        await world.finalize(name, run_pb2.RUN_STATE_SUCCEEDED)
        walk = asyncio.create_task(world.recorder.care.scrubber.scrub())
        await eventually(lambda: world.recorder.care.scrubber.state.started_at is not None)
        await asyncio.sleep(0.3)  # somewhere inside of it: a second at this pace
        assert not walk.done()
        await world.call("DeleteRun", pb.DeleteRunRequest(name=name))
        await walk
        assert await damages(world) == []
        assert "a run is damaged" not in [one.message for one in caplog.records]


async def test_a_full_disk_does_not_stop_a_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world_of("disk", tmp_path / "runs", care=CARE) as world:
        name = await final_run(world)
        flip(world.folder(name) / "01_input.txt")
        with failing(monkeypatch, "write", 1, errno.ENOSPC, for_ever=True):
            await world.recorder.care.scrubber.scrub()
        assert await damages(world) == [(name, "01_input.txt: not the recorded SHA-256")]


async def test_with_no_pace_nothing_is_walked(disk: World) -> None:
    name, other = await final_run(disk), await final_run(disk)
    flip(disk.folder(other) / "01_input.txt")
    scrubber = asyncio.create_task(disk.recorder.care.scrubber.scrub_forever())
    flip(disk.folder(name) / "01_input.txt")
    with pytest.raises(DataLoss):
        await disk.read(f"{name}/entities/1")
    # But what a reader met is told.
    only = [(name, "01_input.txt: not the recorded SHA-256")]

    async def told() -> bool:
        return await damages(disk) == only

    await eventually(told)
    scrubber.cancel()
    await asyncio.wait({scrubber})
    assert (await status(disk)).scrubbed_runs == 0


async def test_what_a_reader_was_told_is_looked_at_whatever_was_read(tmp_path: Path) -> None:
    async with world_of("grpc", tmp_path / "runs", care=CARE) as world:
        read, got = await final_run(world), await final_run(world)
        flip(world.folder(read) / "01_input.txt")
        other_seed(world.folder(got) / "metadata.json")
        with pytest.raises(DataLoss):
            await world.read(f"{read}/entities/1", 0, 1)
        with pytest.raises(DataLoss):
            await world.get(got)
        await world.recorder.care.scrubber.look_at_suspected()
        assert sorted(await damages(world)) == sorted(
            [
                (read, "01_input.txt: not the recorded SHA-256"),
                (got, "metadata.json: the checksum does not match"),
            ]
        )


async def test_who_asks_for_a_damaged_run_again_and_again_does_not_hold_the_walk_up(
    tmp_path: Path,
) -> None:
    async with world_of("disk", tmp_path / "runs", care=CARE) as world:
        other = await final_run(world)
        asked = await world.create(outputs=[])
        for number in range(20):  # so that to look at it takes longer than to ask for it
            await world.record(f"{asked}/uploads/{number}", b"Eine Blume")
        await world.finalize(asked, run_pb2.RUN_STATE_SUCCEEDED)
        for name in (asked, other):
            flip(world.folder(name) / "01_input.txt")

        async def ask() -> None:
            while True:
                with pytest.raises(DataLoss):
                    await world.read(f"{asked}/entities/1")

        with pytest.raises(DataLoss):
            await world.read(f"{asked}/entities/1")
        asking = asyncio.create_task(ask())
        try:
            async with asyncio.timeout(20):
                await world.recorder.care.scrubber.scrub()
        finally:
            asking.cancel()
            await asyncio.wait({asking})
        assert {name for name, _ in await damages(world)} == {asked, other}
