"""An export that was unpacked can be checked by anybody, and tells what was changed."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import pytest_asyncio

from artlab.recorder.v1 import run_pb2
from services.recorder.domain.archive import Manifest
from services.recorder.verify import verify_run
from services.recorder.verify_export import verify_export
from tests.integration.recorder.archives import export, finished_run, png
from tests.integration.recorder.harness import world_of
from tests.support.command import artlab


async def unpacked(tmp_path: Path, audience: run_pb2.Audience.ValueType) -> Path:
    folder = tmp_path / "unpacked"
    async with world_of("grpc", tmp_path / "runs") as world:
        names = [await finished_run(world, picture=png(colour)) for colour in ("red", "blue")]
        archive = await export(world, *names, audience=audience)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        opened.extractall(folder)
    return folder


@pytest_asyncio.fixture
async def folder(tmp_path: Path) -> Path:
    return await unpacked(tmp_path, run_pb2.AUDIENCE_RESEARCH)


def runs_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def first_of(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


async def test_an_unpacked_export_verifies_as_a_whole_and_run_by_run(folder: Path) -> None:
    manifest, defects = verify_export(folder)
    assert isinstance(manifest, Manifest)
    assert defects == []
    for run in runs_in(folder):
        assert verify_run(run) == []
    ended = await artlab("verify", str(folder), *map(str, runs_in(folder)))
    assert ended.code == 0, ended.out
    assert "as exported for research: 2 runs, size and SHA-256 of 14 files" in ended.out


async def test_what_was_made_for_students_verifies_too(tmp_path: Path) -> None:
    folder = await unpacked(tmp_path, run_pb2.AUDIENCE_STUDENT)
    assert verify_export(folder)[1] == []
    picture = next(runs_in(folder)[0].glob("*.png"))
    picture.write_bytes(picture.read_bytes()[:-1] + b"x")
    assert verify_export(folder)[1] == [
        f"{picture.parent.name}/{picture.name}: not the recorded SHA-256"
    ]


async def test_a_stamp_is_no_excuse_elsewhere(folder: Path, tmp_path: Path) -> None:
    run = runs_in(folder)[0]
    moved = tmp_path / "alone" / run.name
    moved.parent.mkdir()
    run.rename(moved)
    assert [defect.partition(":")[0] for defect in verify_run(moved)] == ["04_output_image.png"]


@pytest.mark.parametrize(
    "pattern",
    ["*/01_input.txt", "*/*.png", "*/report.html", "runs.jsonl", "ro-crate-metadata.json"],
)
async def test_every_changed_file_is_named(folder: Path, pattern: str) -> None:
    changed = first_of(folder, pattern)
    data = bytearray(changed.read_bytes())
    data[-5] ^= 1
    changed.write_bytes(data)
    name = str(changed.relative_to(folder))
    assert any(defect.startswith(f"{name}: ") for defect in verify_export(folder)[1])
    ended = await artlab("verify", str(folder))
    assert ended.code == 1
    assert f"{folder}: {name}: " in ended.out


async def test_what_is_missing_or_new_is_named(folder: Path) -> None:
    first, second = runs_in(folder)
    (first / "01_input.txt").unlink()
    (first / "notes.txt").write_text("mine")
    second.rename(folder / "elsewhere")
    defects = verify_export(folder)[1]
    assert f"{first.name}/01_input.txt: No such file or directory" in defects
    assert f"{first.name}/notes.txt: not in manifest.json" in defects
    assert "elsewhere: not in manifest.json" in defects
    assert f"{second.name}: No such file or directory" in defects
