"""Imports: what was exported comes back byte for byte, and nothing else comes in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from services.kit.channel import open_sync_channel
from services.kit.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from services.kit.status import remote_errors
from services.recorder.servicer import register
from services.recorder.store.codec import encode_document
from services.recorder.verify import verify_run
from tests.integration.recorder.archives import (
    export,
    finished_run,
    png,
    run_folders,
    take_in,
    unzipped,
    with_manifest,
    zipped,
)
from tests.integration.recorder.harness import World, until, world_of
from tests.support.pictures import picture as large_picture
from tests.support.servers import serving


@pytest_asyncio.fixture
async def source(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of("grpc", tmp_path / "source") as opened:
        yield opened


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of("grpc", tmp_path / "runs") as opened:
        yield opened


def leftovers(world: World) -> list[Path]:
    return list((world.root / ".imports").iterdir())


async def listed(world: World) -> set[str]:
    request = pb.ListRunsRequest(audience=run_pb2.AUDIENCE_RESEARCH)
    return {run.name for run in (await world.call("ListRuns", request)).runs}


async def test_a_round_trip_gives_the_same_folders_byte_for_byte(
    source: World, world: World
) -> None:
    names = [await finished_run(source, picture=png(colour)) for colour in ("red", "blue")]
    blocked = await source.create()
    await source.finalize(blocked, run_pb2.RUN_STATE_BLOCKED)
    archive = await export(source, *names, blocked)
    answer = await take_in(world, archive)
    assert list(answer.imported) == [*names, blocked]
    assert list(answer.skipped) == []
    assert run_folders(world.root) == run_folders(source.root)
    assert await listed(world) == {*names, blocked}
    assert await export(world, *names, blocked) == archive
    for name in names:
        assert verify_run(world.folder(name)) == []
        picture = (await world.get(name)).entities[3]
        assert await world.read(picture.name) in (png("red"), png("blue"))
    assert leftovers(world) == []


async def test_the_memory_takes_in_what_a_disk_exported(source: World, tmp_path: Path) -> None:
    name = await finished_run(source)
    archive = await export(source, name)

    async def chunks() -> AsyncIterator[bytes]:
        yield archive

    async with world_of("memory", tmp_path) as twin:
        done = await twin.recorder.import_runs(chunks())
        assert [run_id.name for run_id in done.imported] == [name]
        assert await twin.read(f"{name}/entities/4") == png()
        assert await twin.recorder.import_runs(chunks()) == type(done)((), done.imported)


async def test_import_is_idempotent(source: World, world: World) -> None:
    name = await finished_run(source)
    archive = await export(source, name)
    assert list((await take_in(world, archive)).imported) == [name]
    again = await take_in(world, archive)
    assert (list(again.imported), list(again.skipped)) == ([], [name])
    assert list((await take_in(source, archive)).skipped) == [name]


async def test_what_is_imported_survives_a_restart(source: World, world: World) -> None:
    name = await finished_run(source)
    await take_in(world, await export(source, name))
    await world.restart()
    assert (await world.get(name)).state == run_pb2.RUN_STATE_SUCCEEDED
    assert await listed(world) == {name}


async def test_only_the_runs_that_are_not_here_come_in(source: World, world: World) -> None:
    names = [await finished_run(source) for _ in range(3)]
    await take_in(world, await export(source, names[1]))
    answer = await take_in(world, await export(source, *names))
    assert list(answer.imported) == [names[0], names[2]]
    assert list(answer.skipped) == [names[1]]


async def test_another_run_of_the_same_id_refuses_the_whole_archive(
    source: World, world: World
) -> None:
    names = [await finished_run(source) for _ in range(2)]
    await finished_run(world, run_id=names[1].removeprefix("runs/"), idea="Etwas anderes")
    with pytest.raises(AlreadyExists) as caught:
        await take_in(world, await export(source, *names))
    assert caught.value.reason == "RUN_DIFFERS"
    assert names[1].removeprefix("runs/") in caught.value.message
    assert await listed(world) == {names[1]}


async def test_an_open_run_of_the_same_id_is_another_run(source: World, world: World) -> None:
    name = await finished_run(source)
    await world.create(name.removeprefix("runs/"))
    with pytest.raises(AlreadyExists) as caught:
        await take_in(world, await export(source, name))
    assert caught.value.reason == "RUN_DIFFERS"


async def test_a_run_that_was_deleted_here_stays_deleted(source: World, world: World) -> None:
    name = await finished_run(source)
    archive = await export(source, name)
    await take_in(world, archive)
    await world.call("DeleteRun", pb.DeleteRunRequest(name=name))
    with pytest.raises(FailedPrecondition) as caught:
        await take_in(world, archive)
    assert caught.value.reason == "RUN_DELETED"
    with pytest.raises(NotFound):
        await world.get(name)


async def test_an_archive_for_students_cannot_be_imported(source: World, world: World) -> None:
    name = await finished_run(source)
    archive = await export(source, name, audience=run_pb2.AUDIENCE_STUDENT)
    with pytest.raises(InvalidArgument) as caught:
        await take_in(world, archive)
    assert caught.value.reason == "ARCHIVE_INVALID"
    assert "made for student" in caught.value.message


async def test_an_archive_over_the_limit_is_refused_at_the_limit(
    source: World, tmp_path: Path
) -> None:
    name = await finished_run(source, picture=large_picture(1_000_000))
    archive = await export(source, name)
    assert len(archive) > 1_000_000
    async with world_of("disk", tmp_path / "small", max_import_bytes=500_000) as small:
        with pytest.raises(InvalidArgument) as caught:
            await take_in_by_threads(small, archive)
        assert caught.value.reason == "ARCHIVE_TOO_LARGE"
        assert leftovers(small) == []
        packed = zipped(unzipped(archive))
        assert len(packed) < 500_000
        with pytest.raises(InvalidArgument) as bomb:
            await take_in_by_threads(small, packed)
        assert bomb.value.reason == "ARCHIVE_INVALID"
        assert "at most 500000" in bomb.value.message
        assert leftovers(small) == []


async def take_in_by_threads(world: World, archive: bytes) -> pb.ImportRunsResponse:
    """Import as the command line does: grpc.aio may tell a refusal in mid-stream as INTERNAL."""

    def send() -> pb.ImportRunsResponse:
        with open_sync_channel(target) as channel, remote_errors("recorder"):
            stub: Any = recorder_pb2_grpc.RecorderServiceStub(channel)
            pieces = (archive[at : at + 100_000] for at in range(0, len(archive), 100_000))
            requests = (pb.ImportRunsRequest(data=piece) for piece in pieces)
            return cast(pb.ImportRunsResponse, stub.ImportRuns(requests, timeout=20))

    async with serving("recorder", lambda server: register(world.recorder, server)) as target:
        return await asyncio.to_thread(send)


async def test_a_run_that_is_not_final_is_refused(source: World, world: World) -> None:
    name = await finished_run(source)
    files = unzipped(await export(source, name))
    path = f"{name.removeprefix('runs/')}/metadata.json"
    document = json.loads(files[path])
    del document["checksum"]
    document |= {"status": "running", "finished_at": None}
    files[path] = encode_document(document)
    manifest = json.loads(files["manifest.json"])
    manifest["runs"][0] |= {"status": "running", "checksum": json.loads(files[path])["checksum"]}
    with pytest.raises(InvalidArgument) as caught:
        await take_in(world, zipped(with_manifest(files, runs=manifest["runs"])))
    assert "the run is not final" in caught.value.message
    assert await listed(world) == set()


async def test_a_client_that_leaves_leaves_nothing_behind(source: World, world: World) -> None:
    name = await finished_run(source, picture=large_picture(3_000_000))
    archive = await export(source, name)

    async def cut() -> AsyncIterator[pb.ImportRunsRequest]:
        yield pb.ImportRunsRequest(data=archive[:2_000_000])
        await asyncio.Event().wait()

    call = world.stub.ImportRuns(cut())
    await until(lambda: leftovers(world) != [])
    call.cancel()
    await until(lambda: leftovers(world) == [])
    assert await listed(world) == set()


async def test_more_imports_than_two_at_once_are_told_to_come_back(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[pb.ImportRunsRequest]:
        yield pb.ImportRunsRequest(data=b"PK")
        await asyncio.Event().wait()

    async with world_of("disk", tmp_path / "runs") as world:
        begun = [asyncio.create_task(world.stub.ImportRuns(endless(), None)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ResourceExhausted) as caught:
            await world.stub.ImportRuns(endless(), None)
        assert caught.value.reason == "TOO_MANY_IMPORTS"
        for one in begun:
            one.cancel()
        await asyncio.wait(begun)
        with pytest.raises(InvalidArgument) as again:
            await take_in_by_threads(world, b"PK")
        assert again.value.reason == "ARCHIVE_INVALID"
