"""Exports: complete for research, careful for others, the same bytes for the same runs."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.kit.errors import (
    Aborted,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)
from tests.integration.recorder.archives import (
    IDEA,
    export,
    finished_run,
    new_id,
    png,
    run_folders,
    unzipped,
)
from tests.integration.recorder.harness import World, entity, metadata_of, world_of
from tests.support.pictures import picture as large_picture

STUDENT = run_pb2.AUDIENCE_STUDENT


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of("grpc", tmp_path / "runs") as opened:
        yield opened


async def test_an_archive_holds_the_run_folder_and_says_what_every_file_is(world: World) -> None:
    name = await finished_run(world)
    folder = world.folder(name)
    files = unzipped(await export(world, name))
    run_id = folder.name
    assert sorted(files) == sorted(
        [
            *(f"{run_id}/{path.name}" for path in folder.iterdir()),
            f"{run_id}/report.html",
            "manifest.json",
            "ro-crate-metadata.json",
            "runs.jsonl",
        ]
    )
    for path in folder.iterdir():
        if path.suffix != ".png":
            assert files[f"{run_id}/{path.name}"] == path.read_bytes()
    manifest = json.loads(files["manifest.json"])
    assert (manifest["complete"], manifest["audience"]) == (True, "research")
    assert {one["path"]: one["size_bytes"] for one in manifest["files"]} == {
        path: len(data) for path, data in files.items() if path != "manifest.json"
    }
    assert json.loads(files["runs.jsonl"]) == metadata_of(world, name)


async def test_a_picture_tells_where_it_comes_from(world: World) -> None:
    name = await finished_run(world, picture=png("navy"))
    files = unzipped(await export(world, name))
    path = next(path for path in files if path.endswith(".png"))
    recorded = metadata_of(world, name)
    of_picture = recorded["entities"][3]
    with Image.open(io.BytesIO(files[path])) as picture:
        told = json.loads(picture.text["Artlab"])  # type: ignore[attr-defined]
    assert told == {
        "run_id": recorded["run_id"],
        "sequence": 4,
        "sha256": of_picture["sha256"],
        "checksum": recorded["checksum"],
    }
    stored = world.folder(name) / of_picture["filename"]
    assert stored.read_bytes() == png("navy")
    listed = next(one for one in json.loads(files["manifest.json"])["files"] if one["path"] == path)
    assert (listed["recorded_sha256"], listed["stamped"]) == (of_picture["sha256"], True)


async def test_the_same_runs_give_the_same_bytes(world: World) -> None:
    names = [await finished_run(world, picture=png(colour)) for colour in ("red", "blue")]
    first = await export(world, *names)
    world.clock.advance(3600)
    await world.restart()
    assert await export(world, *names) == first
    assert await export(world, *names, names[0]) == first


async def test_a_filter_exports_what_is_final_and_fits(world: World) -> None:
    dada = [await finished_run(world) for _ in range(3)]
    await finished_run(world, config_name="bauhaus")
    await world.create()
    chosen = pb.RunFilter(config_names=["dada"])
    manifest = json.loads(unzipped(await export(world, filter=chosen))["manifest.json"])
    assert sorted(f"runs/{one['run_id']}" for one in manifest["runs"]) == sorted(dada)
    lines = await export(world, filter=pb.RunFilter(), format=pb.EXPORT_FORMAT_JSON_LINES)
    assert len(lines.splitlines()) == 4
    with pytest.raises(NotFound) as caught:
        await export(world, filter=pb.RunFilter(config_names=["nobody"]))
    assert caught.value.reason == "NO_RUNS"


async def test_json_lines_are_one_record_a_line(world: World) -> None:
    names = [await finished_run(world) for _ in range(2)]
    lines = (await export(world, *names, format=pb.EXPORT_FORMAT_JSON_LINES)).splitlines()
    assert [json.loads(line) for line in lines] == [metadata_of(world, name) for name in names]


async def test_students_get_only_what_is_meant_for_them(world: World) -> None:
    name = await finished_run(world)
    files = unzipped(await export(world, name, audience=STUDENT))
    names = {path.rpartition("/")[2] for path in files}
    assert names == {
        "01_input.txt",
        "02_interception.txt",
        "04_output_image.png",
        "report.html",
        "manifest.json",
        "ro-crate-metadata.json",
    }
    manifest = json.loads(files["manifest.json"])
    assert (manifest["complete"], manifest["audience"]) == (False, "student")
    everything = b"".join(files.values())
    assert b"wordlist" not in everything
    assert b"safety_pre_output" not in everything


async def test_what_was_blocked_leaves_only_for_research(world: World) -> None:
    name = await world.create()
    await world.record(f"{name}/uploads/a", png(), entity(output_index=1, audience=1))
    await world.finalize(name, run_pb2.RUN_STATE_BLOCKED)
    student = unzipped(await export(world, name, audience=STUDENT))
    research = unzipped(await export(world, name))
    assert not [path for path in student if path.endswith(".png")]
    assert [path for path in research if path.endswith(".png")]


@pytest.mark.parametrize(
    ("wish", "reason", "field"),
    [
        ({"audience": 0}, "ENUM_REQUIRED", "audience"),
        ({"audience": 9}, "ENUM_NOT_ALLOWED", "audience"),
        ({"format": 0}, "ENUM_REQUIRED", "format"),
        ({"format": 9}, "ENUM_NOT_ALLOWED", "format"),
        ({"filter": pb.RunFilter()}, "NAMES_OR_FILTER", "filter"),
    ],
)
async def test_a_wish_that_is_none_is_refused(
    world: World, wish: dict[str, int], reason: str, field: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await export(world, f"runs/{new_id()}", **wish)
    assert (caught.value.reason, caught.value.field) == (reason, field)


async def test_names_are_parsed_and_bounded(world: World) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await export(world, f"runs/{new_id()}", "runs/../x")
    assert (caught.value.reason, caught.value.field) == ("INVALID_NAME", "names[1]")
    with pytest.raises(InvalidArgument) as caught:
        await export(world, *[f"runs/{new_id()}"] * 1001)
    assert (caught.value.reason, caught.value.field) == ("TOO_MANY", "names")
    with pytest.raises(InvalidArgument) as caught:
        await export(world)
    assert (caught.value.reason, caught.value.field) == ("NAMES_OR_FILTER", "filter")


async def test_runs_that_cannot_be_exported_are_told(world: World) -> None:
    opened = await world.create()
    with pytest.raises(FailedPrecondition) as open_run:
        await export(world, opened)
    assert open_run.value.reason == "RUN_OPEN"
    with pytest.raises(NotFound) as unknown:
        await export(world, f"runs/{new_id()}")
    assert unknown.value.reason == "RUN_NOT_FOUND"
    names = [await finished_run(world) for _ in range(2)]
    with pytest.raises(InvalidArgument) as two:
        await export(world, *names, format=pb.EXPORT_FORMAT_HTML)
    assert two.value.reason == "ONE_RUN_REQUIRED"
    with pytest.raises(PermissionDenied) as low:
        await export(world, names[0], audience=STUDENT, format=pb.EXPORT_FORMAT_JSON_LINES)
    assert low.value.reason == "AUDIENCE_TOO_LOW"


async def test_a_damaged_file_of_a_named_run_ends_the_export_and_is_named(world: World) -> None:
    name = await finished_run(world)
    picture = next(world.folder(name).glob("*.png"))
    data = bytearray(picture.read_bytes())
    data[-20] ^= 1
    picture.write_bytes(data)
    with pytest.raises(DataLoss) as caught:
        await export(world, name)
    assert caught.value.reason == "ENTITY_CORRUPT"
    assert f"{picture.parent.name}/{picture.name}" in caught.value.message


async def test_a_damaged_run_that_a_filter_found_is_left_out_and_listed(world: World) -> None:
    names = [await finished_run(world) for _ in range(3)]
    next(world.folder(names[1]).glob("*.png")).write_bytes(png("black"))
    files = unzipped(await export(world, filter=pb.RunFilter()))
    manifest = json.loads(files["manifest.json"])
    damaged = names[1].removeprefix("runs/")
    assert [one["run_id"] for one in manifest["left_out"]] == [damaged]
    assert manifest["left_out"][0]["reason"] == "ENTITY_CORRUPT"
    assert len(manifest["runs"]) == 2
    assert not [path for path in files if path.startswith(damaged)]


async def test_nothing_of_an_export_stays_on_the_disk(world: World) -> None:
    name = await finished_run(world)
    before = run_folders(world.root)
    await export(world, name)
    assert run_folders(world.root) == before
    assert not list((world.root / ".imports").iterdir())


async def test_the_report_needs_nothing_else_and_escapes_what_people_typed(world: World) -> None:
    name = await finished_run(world, idea=f"{IDEA}<script>alert(1)</script>\"'onload=")
    page = (await export(world, name, format=pb.EXPORT_FORMAT_HTML)).decode()
    assert "<script" not in page
    assert "<b>auf" not in page
    assert "&lt;b&gt;auf&lt;/b&gt; der Wiese &amp; mehr" in page
    assert 'src="data:image/png;base64,' in page
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


async def test_a_run_that_is_deleted_in_the_middle_ends_the_export(tmp_path: Path) -> None:
    async with world_of("disk", tmp_path / "runs") as world:
        name = await finished_run(world, picture=large_picture(3_000_000))
        request = pb.ExportRunsRequest(
            names=[name], audience=run_pb2.AUDIENCE_RESEARCH, format=pb.EXPORT_FORMAT_ZIP
        )
        pieces = world.stub.ExportRuns(request, None)
        await anext(pieces)
        await world.call("DeleteRun", pb.DeleteRunRequest(name=name))
        with pytest.raises(Aborted) as caught:
            async for _ in pieces:
                pass
        assert caught.value.reason == "RUN_DELETED_MEANWHILE"


async def test_more_exports_than_four_at_once_are_told_to_come_back(tmp_path: Path) -> None:
    async with world_of("disk", tmp_path / "runs") as world:
        name = await finished_run(world, picture=large_picture(3_000_000))
        request = pb.ExportRunsRequest(
            names=[name], audience=run_pb2.AUDIENCE_RESEARCH, format=pb.EXPORT_FORMAT_ZIP
        )
        begun = [world.stub.ExportRuns(request, None) for _ in range(4)]
        for one in begun:
            await anext(one)
        with pytest.raises(ResourceExhausted) as caught:
            await anext(world.stub.ExportRuns(request, None))
        assert caught.value.reason == "TOO_MANY_EXPORTS"
        await begun[0].aclose()
        again = world.stub.ExportRuns(request, None)
        assert len(b"".join([piece.data async for piece in again])) > 3_000_000
        for one in begun[1:]:
            await one.aclose()
