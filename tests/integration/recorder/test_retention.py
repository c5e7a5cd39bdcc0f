"""Retention: old runs go, a few at a time; favourites stay, and a wrong clock stops it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.clock import ManualClock
from services.kit.errors import FailedPrecondition
from services.recorder.care import CareLimits
from services.recorder.retention import RetentionLimits
from tests.integration.recorder.harness import World, world_of
from tests.integration.recorder.test_favourites import mark

DAY = 86400.0
CARE = CareLimits(retention=RetentionLimits(days=30))


class JumpingClock(ManualClock):
    """A clock whose time of day can be set."""

    def set(self, now: datetime) -> None:
        """Somebody sets the clock."""
        self._now = now


async def old_run(world: World) -> str:
    name = await world.create()
    await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    world.clock.advance(1)
    return name


async def names(world: World) -> list[str]:
    request = pb.ListRunsRequest(page_size=200, audience=run_pb2.AUDIENCE_STUDENT)
    runs: Sequence[run_pb2.Run] = (await world.call("ListRuns", request)).runs
    return [run.name for run in runs]


@pytest.mark.parametrize("kind", ["memory", "disk"])
async def test_old_runs_go_oldest_first_and_at_most_one_in_twenty_a_pass(
    tmp_path: Path, kind: str
) -> None:
    async with world_of(kind, tmp_path / "runs", care=CARE) as world:
        runs = [await old_run(world) for _ in range(40)]
        retention = world.recorder.care.retention
        world.clock.advance(29 * DAY)
        assert await retention.retain() == 0
        assert len(await names(world)) == 40
        world.clock.advance(2 * DAY)
        left = runs
        for gone in (2, 1, 1):  # 5 % of 40, 38, 37
            assert await retention.retain() == gone
            left = left[gone:]
            assert await names(world) == left[::-1]
        with pytest.raises(FailedPrecondition) as caught:
            await world.create(runs[0].removeprefix("runs/"))
        assert caught.value.reason == "RUN_DELETED"


async def test_the_smallest_store_is_emptied_too(tmp_path: Path) -> None:
    async with world_of("disk", tmp_path / "runs", care=CARE) as world:
        for _ in range(3):
            await old_run(world)
        world.clock.advance(40 * DAY)
        for left in (2, 1, 0, 0):
            await world.recorder.care.retention.retain()
            assert len(await names(world)) == left
        tombstones = list((world.root / ".tombstones").iterdir())
        assert len(tombstones) == 3


async def test_favourites_and_open_runs_stay(tmp_path: Path) -> None:
    async with world_of("disk", tmp_path / "runs", care=CARE) as world:
        kept = await old_run(world)
        await mark(world, kept)
        open_run = await world.create()
        gone = await old_run(world)
        world.clock.advance(400 * DAY)
        for _ in range(3):
            await world.recorder.care.retention.retain()
        assert await names(world) == [open_run, kept]
        await mark(world, kept, favourite=False)
        await world.recorder.care.retention.retain()
        assert await names(world) == [open_run]
        assert gone not in await names(world)


async def test_the_age_counts_from_the_end_of_a_run(tmp_path: Path) -> None:
    async with world_of("disk", tmp_path / "runs", care=CARE) as world:
        name = await world.create(deadline=world.deadline_in(23 * 3600))
        world.clock.advance(22 * 3600)
        await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)
        world.clock.advance(30 * DAY - 3600)
        assert await world.recorder.care.retention.retain() == 0
        world.clock.advance(3600)
        assert await world.recorder.care.retention.retain() == 1


async def test_nothing_goes_by_a_clock_that_jumped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = JumpingClock()
    async with world_of("disk", tmp_path / "runs", care=CARE, clock=clock) as world:
        runs = [await old_run(world) for _ in range(5)]
        retention = world.recorder.care.retention
        for now in (
            datetime(2031, 1, 1, tzinfo=UTC),
            datetime(2025, 12, 31, tzinfo=UTC),
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(2031, 1, 1, tzinfo=UTC),
        ):
            clock.set(now)
            for _ in range(3):
                assert await retention.retain() == 0
        assert await names(world) == runs[::-1]
        refusals = [
            record
            for record in caplog.records
            if record.getMessage() == "no run is deleted for its age"
        ]
        # Each refusal once: jumped, before this was written (twice in a row the same), jumped.
        assert len(refusals) == 3
        assert all(record.levelno == logging.ERROR for record in refusals)
        for _ in range(25):
            clock.advance(3600)
            await retention.retain()
        assert len(await names(world)) < 5, "after a day of even time it is believed"


async def test_nothing_goes_while_a_run_is_newer_than_the_clock(tmp_path: Path) -> None:
    clock = JumpingClock(datetime(2030, 1, 1, tzinfo=UTC))
    async with world_of("disk", tmp_path / "runs", care=CARE, clock=clock) as world:
        await old_run(world)
        await world.stop()
        clock.set(datetime(2026, 1, 1, tzinfo=UTC))
        await world.start()
        name = await old_run(world)
        clock.advance(40 * DAY)
        assert await world.recorder.care.retention.retain() == 0
        assert name in await names(world)


async def test_without_a_limit_runs_stay_for_ever(disk: World) -> None:
    await old_run(disk)
    disk.clock.advance(timedelta(days=3650).total_seconds())
    await disk.recorder.care.retention.retain_forever()
    assert len(await names(disk)) == 1
