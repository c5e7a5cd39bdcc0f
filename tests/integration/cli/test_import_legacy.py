"""`artlab import-legacy` as a person calls it, without any server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from services.recorder.verify import verify_run
from tests.faults.recorder_process import free_port
from tests.support.command import Ended, artlab

FIXTURES = Path(__file__).parents[2] / "fixtures" / "legacy_runs"
WHOLE = "528e5af9-59b3-4551-b101-27e13dd6e43e"
FAILED = "0d3cfa53-0f1a-4a59-9e39-86f0d1c7a001"
OF_ANOTHER_ID = "cff9ed42-4a32-5928-85fe-d903cd1801f4"


async def call(tmp_path: Path, *arguments: str) -> Ended:
    settings = {"ARTLAB_RECORDER_PORT": str(free_port()), "ARTLAB_RECORDER_TRACKER": "none"}
    return await artlab("import-legacy", *arguments, cwd=tmp_path, settings=settings)


def run_ids(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if not path.name.startswith(".")}


def bytes_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


async def test_every_run_comes_over_whole_and_a_second_time_changes_nothing(
    tmp_path: Path,
) -> None:
    before = bytes_of(FIXTURES)
    arguments = (str(FIXTURES), "--leave-out-unknown", "--zone", "Europe/Berlin", "--root", "runs")
    ended = await call(tmp_path, *arguments)
    assert (ended.code, ended.err) == (0, ""), ended.out
    last = ended.out.splitlines()[-1]
    assert last == "5 imported, 0 were here already, 0 refused, 1 entities left out"
    root = tmp_path / "runs"
    assert len(run_ids(root)) == 5
    assert [verify_run(root / name) for name in sorted(run_ids(root))] == [[]] * 5
    assert (root / WHOLE / "06_output_image.png").read_bytes() == before[
        f"{WHOLE}/06_output_image.png"
    ]
    assert (root / WHOLE / "07_legacy_metadata.json").read_bytes() == before[
        f"{WHOLE}/metadata.json"
    ]
    document = json.loads((root / WHOLE / "metadata.json").read_bytes())
    assert document["timestamp"] == "2025-11-04T18:00:00.000001Z"
    assert (root / OF_ANOTHER_ID / "03_output_image.png").is_file()
    assert bytes_of(FIXTURES) == before

    ended = await call(tmp_path, *arguments)
    assert ended.code == 0
    assert "0 imported, 5 were here already, 0 refused" in ended.out


async def test_what_does_not_fit_is_named_and_the_others_come_over(tmp_path: Path) -> None:
    legacy = tmp_path / "old" / "2025-11-04"
    shutil.copytree(FIXTURES / WHOLE, legacy / "dev_1" / WHOLE)
    shutil.copytree(FIXTURES / FAILED, legacy / "dev_2" / FAILED)
    (legacy / "dev_1" / WHOLE / "06_output_image.png").unlink()
    ended = await call(tmp_path, "old", "--root", "runs")
    assert ended.code == 1
    assert f"{WHOLE}: refused: 06_output_image.png: missing" in ended.out
    assert run_ids(tmp_path / "runs") == {FAILED}


async def test_a_run_that_changed_since_it_was_taken_over_is_refused(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / FAILED, tmp_path / "old" / FAILED)
    assert (await call(tmp_path, "old", "--root", "runs")).code == 0
    (tmp_path / "old" / FAILED / "01_input.txt").write_text("Ein Tal")
    ended = await call(tmp_path, "old", "--root", "runs")
    assert ended.code == 1
    assert "RUN_DIFFERS" in ended.out
    assert (tmp_path / "runs" / FAILED / "01_input.txt").read_text() == "Ein Berg"


async def test_a_dry_run_says_what_would_come_and_writes_nothing(tmp_path: Path) -> None:
    ended = await call(tmp_path, str(FIXTURES), "--dry-run", "--root", "runs")
    assert ended.code == 1
    assert "the type 'output_3d' is not known here; --leave-out-unknown" in ended.out
    assert "4 would be imported, 0 were here already, 1 refused" in ended.out
    assert not (tmp_path / "runs").exists()


async def test_wrong_options_are_refused_with_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, said in (
        (("empty",), "no metadata.json"),
        ((str(FIXTURES), "--zone", "Mars/Base"), "no such time zone"),
        ((str(FIXTURES), "--zone", "../../etc/passwd"), "no such time zone"),
        ((str(FIXTURES), "--level", "off=none"), "expected NAME=LEVEL"),
    ):
        ended = await call(tmp_path, *arguments)
        assert ended.code == 2
        assert said in ended.err
