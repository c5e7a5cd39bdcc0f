from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from services.cli.commands.verify import verify


def test_a_folder_that_is_no_run_is_a_defect(tmp_path: Path) -> None:
    ended = CliRunner().invoke(verify, [str(tmp_path)])
    assert ended.exit_code == 1
    assert ended.stdout == f"{tmp_path}: not a run folder: its name is no run id\n"


def test_a_folder_of_runs_leads_to_scrub(tmp_path: Path) -> None:
    (tmp_path / "3f2b0c1e-8d1f-4c55-9d53-2f4c2f6f0a11").mkdir()
    ended = CliRunner().invoke(verify, [str(tmp_path)])
    assert ended.exit_code == 1
    assert ended.stdout == (
        f"{tmp_path}: a folder of runs, not a run: `artlab scrub` looks at all of them\n"
    )


def test_a_folder_that_is_not_there_is_a_defect(tmp_path: Path) -> None:
    folder = tmp_path / "3f2b0c1e-8d1f-4c55-9d53-2f4c2f6f0a11"
    ended = CliRunner().invoke(verify, [str(folder)])
    assert ended.exit_code == 1
    assert "No such file or directory" in ended.stdout


def test_every_folder_is_looked_at(tmp_path: Path) -> None:
    names = ["3f2b0c1e-8d1f-4c55-9d53-2f4c2f6f0a11", "4f2b0c1e-8d1f-4c55-9d53-2f4c2f6f0a11"]
    for name in names:
        (tmp_path / name).mkdir()
    ended = CliRunner().invoke(verify, [str(tmp_path / name) for name in names])
    assert ended.exit_code == 1
    assert [name for name in names if f"{name}: metadata.json" in ended.stdout] == names


def test_no_folder_at_all_is_wrong_usage() -> None:
    assert CliRunner().invoke(verify, []).exit_code == 2
