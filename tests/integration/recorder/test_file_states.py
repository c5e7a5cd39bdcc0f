"""States of disk and clock that no stop of ours leaves behind, and what becomes of the runs."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import DataLoss
from services.recorder.store.codec import checksum
from services.recorder.verify import verify_run
from tests.integration.recorder.harness import World, entity, metadata_of
from tests.integration.recorder.test_retention import JumpingClock

RESEARCH = run_pb2.AUDIENCE_RESEARCH


async def a_final_run(world: World) -> str:
    name = await world.create()
    await world.record(f"{name}/uploads/a", b"Eine Blume")
    await world.record(f"{name}/uploads/b", b"A flower", entity("translation"))
    await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    return name


async def listed(world: World) -> list[str]:
    answer = await world.call("ListRuns", pb.ListRunsRequest(audience=RESEARCH))
    return [run.name for run in answer.runs]


@pytest.mark.parametrize("is_restarted", [False, True], ids=["running", "at start"])
async def test_metadata_the_disk_cannot_read_is_that_runs_loss_alone(
    served: World, monkeypatch: pytest.MonkeyPatch, *, is_restarted: bool
) -> None:
    unreadable, healthy = await a_final_run(served), await a_final_run(served)
    real, document = os.read, f"{unreadable.removeprefix('runs/')}/metadata.json"

    def read(fd: int, size: int) -> bytes:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(document):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(fd, size)

    with monkeypatch.context() as patch:
        patch.setattr(os, "read", read)
        if is_restarted:
            # Without the index everything is read.
            await served.stop()
            for file in (served.root / ".index").iterdir():
                file.unlink()
            await served.start()
        for _ in range(2):
            with pytest.raises(DataLoss) as caught:
                await served.get(unreadable)
            assert caught.value.reason == "METADATA_CORRUPT"
        assert await served.read(f"{healthy}/entities/1") == b"Eine Blume"
        assert healthy in await listed(served)
        assert await served.create() in await listed(served)
    assert [one.sequence for one in (await served.get(unreadable)).entities] == [1, 2]


async def test_of_two_files_of_one_number_the_recorded_one_is_answered(served: World) -> None:
    name = await a_final_run(served)
    other = served.folder(name) / "01_translation.txt"
    other.write_bytes(b"somebody else's")
    assert verify_run(served.folder(name)) == [f"{other.name}: not listed in metadata.json"]
    assert await served.read(f"{name}/entities/1") == b"Eine Blume"
    open_run = await served.create()
    await served.record(f"{open_run}/uploads/a", b"Eine Blume")
    (served.folder(open_run) / "01_translation.txt").write_bytes(b"somebody else's")
    await served.restart()
    assert await served.read(f"{open_run}/entities/1") == b"Eine Blume"
    assert verify_run(served.folder(open_run)) == []
    assert [one.read_bytes() for one in (served.root / ".orphans").iterdir()] == [
        b"somebody else's"
    ]


async def test_two_entities_of_one_number_are_damage_though_the_checksum_fits(
    served: World,
) -> None:
    name, healthy = await a_final_run(served), await a_final_run(served)
    document: dict[str, Any] = dict(metadata_of(served, name))
    document["entities"][1]["sequence"] = 1
    document["checksum"] = checksum(
        {key: value for key, value in document.items() if key != "checksum"}
    )
    file = served.folder(name) / "metadata.json"
    file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    for number in (1, 2):
        with pytest.raises(DataLoss) as caught:
            await served.read(f"{name}/entities/{number}")
        assert caught.value.reason == "METADATA_CORRUPT"
    assert await listed(served) == [healthy]


@pytest.mark.parametrize("year", [1970, 2100])
async def test_entities_and_events_stay_in_order_whatever_the_clock_says(
    served: World, year: int
) -> None:
    served.clock = clock = JumpingClock()
    await served.restart()
    name = await served.create()
    await served.record(f"{name}/uploads/a", b"1")
    clock.set(datetime(year, 1, 1, tzinfo=UTC))
    await served.record(f"{name}/uploads/b", b"2", entity("translation"))
    in_between = await served.create()
    clock.set(datetime(2026, 1, 2, tzinfo=UTC))
    await served.record(f"{name}/uploads/c", b"3", entity("interception"))
    await served.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    for _ in range(2):
        run = await served.get(name)
        assert [one.sequence for one in run.entities] == [1, 2, 3]
        assert [await served.read(one.name) for one in run.entities] == [b"1", b"2", b"3"]
        assert verify_run(served.folder(name)) == []
        assert verify_run(served.folder(in_between)) == []
        assert sorted(await listed(served)) == sorted([name, in_between])
        await served.restart()
    events = metadata_of(served, name)["events"]
    assert [one["seq"] for one in events] == list(range(1, len(events) + 1))
