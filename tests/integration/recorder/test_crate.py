"""The RO-Crate in an export: read by the library that researchers' tools use."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from rocrate.rocrate import ROCrate

from artlab.recorder.v1 import run_pb2
from tests.integration.recorder.archives import export, finished_run, png, unzipped
from tests.integration.recorder.harness import world_of

Graph = dict[str, dict[str, Any]]


async def archive_of(
    tmp_path: Path, audience: run_pb2.Audience.ValueType
) -> tuple[bytes, str, str]:
    async with world_of("grpc", tmp_path / "runs") as world:
        good = await finished_run(world, picture=png("gold"))
        blocked = await world.create()
        await world.finalize(blocked, run_pb2.RUN_STATE_BLOCKED)
        return await export(world, good, blocked, audience=audience), good, blocked


@pytest_asyncio.fixture
async def archive(tmp_path: Path) -> bytes:
    return (await archive_of(tmp_path, run_pb2.AUDIENCE_RESEARCH))[0]


def graph_of(archive: bytes) -> Graph:
    document = json.loads(unzipped(archive)["ro-crate-metadata.json"])
    assert document["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    found = {one["@id"]: one for one in document["@graph"]}
    assert len(found) == len(document["@graph"]), "an id is there twice"
    return found


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            return [value["@id"]]
        return [one for part in value.values() for one in references(part)]
    if isinstance(value, list):
        return [one for part in value for one in references(part)]
    return []


@pytest.mark.parametrize("audience", [run_pb2.AUDIENCE_RESEARCH, run_pb2.AUDIENCE_STUDENT])
async def test_everything_it_refers_to_is_in_it(
    tmp_path: Path, audience: run_pb2.Audience.ValueType
) -> None:
    archive, _, _ = await archive_of(tmp_path, audience)
    graph = graph_of(archive)
    outside = {one for one in references(list(graph.values())) if one not in graph}
    assert outside == {
        "https://w3id.org/ro/crate/1.1",
    }
    described = {name for name, one in graph.items() if one["@type"] == "File"}
    assert described == set(unzipped(archive)) - {"ro-crate-metadata.json"}


async def test_files_are_described_as_they_are_in_the_archive(archive: bytes) -> None:
    graph, files = graph_of(archive), unzipped(archive)
    for path, data in files.items():
        if path not in ("ro-crate-metadata.json", "manifest.json"):
            assert graph[path]["sha256"] == hashlib.sha256(data).hexdigest()
            assert graph[path]["contentSize"] == str(len(data))
            assert graph[path]["encodingFormat"]


async def test_each_run_is_an_action_with_what_went_in_and_came_out(tmp_path: Path) -> None:
    archive, good, blocked = await archive_of(tmp_path, run_pb2.AUDIENCE_RESEARCH)
    graph = graph_of(archive)
    folder = good.removeprefix("runs/")
    action = graph[f"#run-{folder}"]
    assert action["object"] == {"@id": f"{folder}/01_input.txt"}
    assert action["result"] == {"@id": f"{folder}/04_output_image.png"}
    assert action["agent"] == {"@id": "#person-pseudonym-1"}
    assert graph["#person-pseudonym-1"]["name"] == "pseudonym-1"
    used = [graph[one["@id"]]["name"] for one in action["instrument"]]
    assert used == ["Artlab", "painter/1"]
    assert action["startTime"] <= action["endTime"]
    assert "error" not in action
    failed = graph[f"#run-{blocked.removeprefix('runs/')}"]
    assert failed["error"] == "SOME_REASON"
    assert failed["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert "result" not in failed


async def test_rocrate_reads_it(archive: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "crate"
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        opened.extractall(folder)
    crate = ROCrate(folder)
    assert crate.root_dataset["name"] == "Artlab runs (2)"
    assert crate.root_dataset["license"].startswith("Not stated")
    actions = crate.get_by_type("CreateAction")
    assert len(actions) == 2
    picture = next(action["result"] for action in actions if "result" in action.properties())
    assert picture["encodingFormat"] == "image/png"
    assert (folder / picture.id).is_file()
    written = tmp_path / "again"
    crate.write(written)
    assert (written / picture.id).read_bytes() == (folder / picture.id).read_bytes()
