"""Erased entities: their bytes are gone for good, and the record says what they were."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import ArtlabError
from services.kit.ids import EntityName
from services.recorder.domain.vocabulary import Audience
from services.recorder.store import atomic
from services.recorder.verify import NOT_ERASED, verify_run
from tests.integration.recorder.archives import export, finished_run, take_in, unzipped
from tests.integration.recorder.harness import (
    PNG,
    World,
    digest_of,
    entity,
    metadata_of,
    picture,
    stream,
    world_of,
)
from tests.integration.recorder.test_watch import watching

RESEARCH = run_pb2.AUDIENCE_RESEARCH


async def erase(
    world: World, name: str, sequence: int = 1, reason: str = "SAFETY_BLOCKED"
) -> run_pb2.Entity:
    request = pb.EraseEntityRequest(name=f"{name}/entities/{sequence}", reason=reason)
    return cast(run_pb2.Entity, (await world.call("EraseEntity", request)).entity)


async def refusal(call: Any) -> str:
    with pytest.raises(ArtlabError) as caught:
        await call
    return f"{caught.value.code} {caught.value.reason}"


async def with_picture(world: World) -> str:
    """A run with a picture as its first entity and a text as its second."""
    name = await world.create()
    await world.record(f"{name}/uploads/a", PNG, entity(output_index=1))
    await world.record(f"{name}/uploads/b", b"Eine Blume")
    return name


ERASED = "FAILED_PRECONDITION ENTITY_ERASED"


async def test_its_bytes_are_gone_and_the_record_says_what_they_were(world: World) -> None:
    name = await with_picture(world)
    world.clock.advance(5)
    erased = await erase(world, name)
    assert erased.digest == digest_of(PNG)
    assert erased.erase_time.ToDatetime() > erased.create_time.ToDatetime()
    for restarted in (False, True):
        if restarted:
            await world.restart()
        run = await world.get(name)
        assert run.entities[0] == erased
        assert not run.entities[1].HasField("erase_time")
        assert await refusal(world.read(erased.name)) == ERASED
        assert await world.read(f"{name}/entities/2") == b"Eine Blume"
    if world.kind != "memory":
        assert not (world.folder(name) / erased.filename).exists()
        assert verify_run(world.folder(name)) == []


async def test_what_follows_is_recorded_beside_it(world: World) -> None:
    name = await with_picture(world)
    erased = await erase(world, name)
    other = await world.record(f"{name}/uploads/c", PNG, entity(output_index=1))
    assert (other.sequence, other.filename) == (3, "03_output_image.png")
    await world.restart()
    final = await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    assert list(final.entities) == [erased, final.entities[1], other]
    assert await world.get(name) == final
    assert await world.read(other.name) == PNG


async def test_erasing_again_changes_nothing_also_once_the_run_is_final(world: World) -> None:
    name = await with_picture(world)
    erased = await erase(world, name)
    assert await erase(world, name, reason="ANOTHER_REASON") == erased
    final = await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    assert await erase(world, name) == erased
    assert await world.get(name) == final


async def test_only_what_is_there_in_an_open_run_is_erased(world: World) -> None:
    name = await with_picture(world)
    assert await refusal(erase(world, name, 3)) == "NOT_FOUND ENTITY_NOT_FOUND"
    assert await refusal(erase(world, name, reason="why")) == "INVALID_ARGUMENT INVALID_REASON"
    await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    assert await refusal(erase(world, name)) == "FAILED_PRECONDITION RUN_FINAL"
    assert await world.read(f"{name}/entities/1") == PNG


async def test_an_output_does_not_succeed_on_erased_bytes(world: World) -> None:
    name = await with_picture(world)
    await erase(world, name)
    output = run_pb2.Output(index=1, state=run_pb2.RUN_STATE_SUCCEEDED)
    success = pb.FinalizeOutputRequest(name=name, output=output)
    wanted = "FAILED_PRECONDITION OUTPUT_HAS_NO_ENTITY"
    assert await refusal(world.call("FinalizeOutput", success)) == wanted
    await world.record(f"{name}/uploads/c", PNG, entity(output_index=1))
    assert (await world.call("FinalizeOutput", success)).output.state == run_pb2.RUN_STATE_SUCCEEDED


async def test_watchers_hear_of_it_in_its_place(served: World) -> None:
    name = await with_picture(served)
    erased = await erase(served, name)
    async with watching(served, name, 3) as call:
        event = (await call.read()).event
    assert (event.seq, event.ignorable) == (4, False)
    assert event.entity_erased == run_pb2.EntityErased(
        sequence=1, reason="SAFETY_BLOCKED", erase_time=erased.erase_time
    )
    async with watching(served, name, 1) as call:
        assert (await call.read()).event.entity_committed.entity == erased


async def test_an_erased_input_is_not_searched_any_more(world: World) -> None:
    name = await with_picture(world)
    wanted = pb.ListRunsRequest(audience=RESEARCH, filter=pb.RunFilter(text="blume"))
    assert [one.name for one in (await world.call("ListRuns", wanted)).runs] == [name]
    await erase(world, name, 2)
    assert not (await world.call("ListRuns", wanted)).runs
    stats = pb.GetRunStatsRequest(audience=RESEARCH)
    assert (await world.call("GetRunStats", stats)).size_bytes == len(PNG)


# What a stop or a faulty disk leaves


async def test_a_start_finishes_what_a_stop_cut_short(disk: World) -> None:
    name = await with_picture(disk)
    erased = await erase(disk, name)
    file = disk.folder(name) / erased.filename
    orphan = disk.root / ".orphans" / f"{name.removeprefix('runs/')}.0a0b0c0d.{erased.filename}"
    await disk.stop()
    file.write_bytes(PNG)
    orphan.parent.mkdir()
    orphan.write_bytes(PNG)
    other = orphan.with_name(orphan.name.replace(".0a", ".0b"))
    other.write_bytes(picture(3000))
    await disk.start()
    assert not file.exists()
    assert not orphan.exists()
    assert other.exists(), "other bytes may be the only copy"
    assert verify_run(disk.folder(name)) == []


async def test_a_file_that_came_back_is_damage_and_is_never_served(world: World) -> None:
    name = await with_picture(world)
    erased = await erase(world, name)
    await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    await world.restart()
    run_id = name.removeprefix("runs/")
    if world.kind == "memory":
        for held in world.memory._documents:
            world.memory._entities[held, erased.filename] = PNG
    else:
        (world.folder(name) / erased.filename).write_bytes(PNG)
        assert verify_run(world.folder(name)) == [f"{erased.filename}: {NOT_ERASED}"]
    world.recorder.care.scrubber.suspect(next(iter(await world.recorder.run_ids())))
    await world.recorder.care.scrubber.look_at_suspected()
    status = await world.call("GetStoreStatus", pb.GetStoreStatusRequest())
    assert [(one.name, one.message) for one in status.damages] == [
        (f"runs/{run_id}", f"{erased.filename}: {NOT_ERASED}")
    ]
    assert await refusal(world.read(erased.name)) == ERASED


async def test_bytes_the_disk_does_not_let_go_are_told_and_hold_nothing_up(
    disk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await with_picture(disk)
    file = disk.folder(name) / "01_output_image.png"
    with monkeypatch.context() as faulty:

        def fail(dir_fd: int, entry: str) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        faulty.setattr(atomic, "erase", fail)
        assert await refusal(erase(disk, name)) == "INTERNAL STORAGE_ERROR"
        assert await refusal(disk.read(f"{name}/entities/1")) == ERASED
        final = await disk.finalize(name, run_pb2.RUN_STATE_CANCELLED)
        assert final.state == run_pb2.RUN_STATE_CANCELLED
        assert verify_run(disk.folder(name)) == [f"{file.name}: {NOT_ERASED}"]
    await erase(disk, name)
    assert not file.exists()
    assert verify_run(disk.folder(name)) == []


async def test_who_reads_meanwhile_hears_that_it_was_erased(disk: World) -> None:
    name = await disk.create()
    # More than is read ahead.
    data = picture(15 * 256 * 1024)
    await disk.write(stream(f"{name}/uploads/a", data, chunk=256 * 1024))
    entity_name = EntityName.parse(f"{name}/entities/1")
    chunks = disk.recorder.read_entity(entity_name, 0, 0, Audience.RESEARCH)
    first = await anext(chunks)
    assert data.startswith(first)
    await erase(disk, name)

    async def rest() -> None:
        async for _ in chunks:
            pass

    assert await refusal(rest()) == ERASED


# Files of runs


@pytest_asyncio.fixture
async def other(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of("grpc", tmp_path / "other") as opened:
        yield opened


async def test_an_export_has_no_file_of_it_and_says_so(served: World, other: World) -> None:
    async def blocked_before(name: str) -> None:
        await served.record(f"{name}/uploads/x", PNG, entity(output_index=1, stage=4))
        await erase(served, name, 5)

    name = await finished_run(served, before_the_end=blocked_before)
    archive = await export(served, name)
    run_id = name.removeprefix("runs/")
    files = unzipped(archive)
    assert f"{run_id}/04_output_image.png" in files
    assert f"{run_id}/05_output_image.png" not in files
    page = files[f"{run_id}/report.html"].decode()
    assert "05_output_image.png (erased)" in page
    assert f"image/png, {len(PNG)} B: erased 2026-01-01 00:00:00 UTC." in page
    assert b"05_output_image" not in files["ro-crate-metadata.json"]
    assert (await take_in(other, archive)).imported == [name]
    assert metadata_of(other, name) == metadata_of(served, name)
    assert metadata_of(other, name)["entities"][4]["erased_at"]
    assert verify_run(other.folder(name)) == []
    assert await export(other, name) == archive
    assert await refusal(other.read(f"{name}/entities/5")) == ERASED
    page = (await export(served, name, format=pb.EXPORT_FORMAT_HTML)).decode()
    assert "05_output_image.png (erased)" in page


async def test_two_erase_at_once_and_one_of_them_is_the_first(world: World) -> None:
    name = await with_picture(world)
    answers = await asyncio.gather(*(erase(world, name) for _ in range(8)))
    assert len({json.dumps(str(one)) for one in answers}) == 1
    assert (await world.get(name)).last_event_seq == 4
