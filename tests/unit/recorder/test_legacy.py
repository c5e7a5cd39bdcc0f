"""Runs of the predecessor are read as runs of ours, and nothing is guessed silently."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.kit.errors import DataLoss
from services.recorder.archive.report import render_report
from services.recorder.archive.source import recorded_bytes
from services.recorder.domain.run import Run
from services.recorder.domain.story import TITLES
from services.recorder.domain.views import view
from services.recorder.domain.vocabulary import (
    Audience,
    EntityType,
    MediaKind,
    RunState,
    SafetyLevel,
)
from services.recorder.legacy.document import LegacyReading
from services.recorder.legacy.folder import (
    LegacyError,
    LegacyRun,
    find_legacy,
    read_run,
)
from services.recorder.legacy.source import LegacySource
from services.recorder.store.codec import RunEncoder, decode_run

FIXTURES = Path(__file__).parents[2] / "fixtures" / "legacy_runs"
WHOLE = "528e5af9-59b3-4551-b101-27e13dd6e43e"
IN_FINAL = "run_1762300000123_k3f9q2"
BLOCKED = "9a1de0f6-1f0c-4c1a-8b0b-0a6a1c2f3d4e"
FAILED = "0d3cfa53-0f1a-4a59-9e39-86f0d1c7a001"
CUT_OFF = "f2b7c9aa-6a55-4a0c-9f3c-5a0c58e0a6b1"


def legacy(name: str, reading: LegacyReading | None = None) -> LegacyRun:
    return read_run(FIXTURES / name, reading or LegacyReading(zone=UTC))


def changed(tmp_path: Path, name: str, **fields: Any) -> Path:
    folder = tmp_path / name
    shutil.copytree(FIXTURES / name, folder)
    document = json.loads((folder / "metadata.json").read_text())
    document.update(fields)
    (folder / "metadata.json").write_text(json.dumps(document))
    return folder


def outputs(run: Run) -> list[tuple[str, int, MediaKind, RunState]]:
    return [(one.config, one.occurrence, one.kind, one.state) for one in run.outputs]


@pytest.mark.parametrize("name", [WHOLE, IN_FINAL, BLOCKED, FAILED, CUT_OFF])
def test_every_fixture_becomes_a_final_run_that_our_format_holds(name: str) -> None:
    run = legacy(name).run
    assert run.is_final
    assert decode_run(RunEncoder().encode(run), run.run_id) == run
    assert [one.sequence for one in run.entities] == list(range(1, len(run.entities) + 1))


def test_a_whole_run_keeps_what_it_said() -> None:
    run = legacy(WHOLE).run
    assert (run.run_id.value, run.config_name, run.user_id) == (WHOLE, "dada", "anonymous")
    assert run.state is RunState.SUCCEEDED
    assert run.created_at == datetime(2025, 11, 4, 19, 0, 0, 1, tzinfo=UTC)
    assert outputs(run) == [("sd35_large", 1, MediaKind.IMAGE, RunState.SUCCEEDED)]
    assert run.seed == 123456789
    assert run.entities[1].draft.models_used[0].model == "gpt-OSS:20b"
    picture = run.entities[5]
    assert (picture.media_type, picture.draft.output_index) == ("image/png", 1)
    assert picture.draft.metadata["legacy_filename"] == "06_output_image.png"


def test_every_entity_type_has_a_title_in_the_story_of_a_run() -> None:
    assert set(TITLES) == set(EntityType)


def test_a_report_of_a_blocked_run_says_that_a_check_said_no() -> None:
    source = LegacySource(FIXTURES / BLOCKED, legacy(BLOCKED))
    seen = view(legacy(BLOCKED).run, Audience.RESEARCH)
    report = render_report(source, seen, "0" * 64, embed=False).decode()
    assert "Checked: blocked." in report


def test_the_predecessors_own_document_is_the_last_entity() -> None:
    found = legacy(WHOLE)
    last = found.run.entities[-1]
    assert last.type is EntityType.LEGACY_METADATA
    assert last.size_bytes == (FIXTURES / WHOLE / "metadata.json").stat().st_size
    assert found.paths[-1] == "metadata.json"


def test_files_are_found_in_final_too_and_get_our_names() -> None:
    found = legacy(IN_FINAL)
    assert found.paths[:2] == ("final/A_input.txt", "final/B_interception.txt")
    assert [one.filename for one in found.run.entities[:3]] == [
        "01_input.txt",
        "02_interception.txt",
        "03_output_image.png",
    ]


def test_an_id_that_is_no_uuid_becomes_the_same_one_every_time() -> None:
    first, second = legacy(IN_FINAL), legacy(IN_FINAL)
    assert first.run.run_id == second.run.run_id
    assert first.original_id == IN_FINAL


def test_a_persons_name_becomes_a_pseudonym() -> None:
    assert legacy(IN_FINAL).run.user_id.startswith("legacy-")


def test_the_same_config_twice_is_two_outputs_with_their_occurrence() -> None:
    assert [one[:2] for one in outputs(legacy(IN_FINAL).run)] == [
        ("flux1_dev", 1),
        ("flux1_dev", 2),
    ]


@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [
        (BLOCKED, RunState.BLOCKED, "LEGACY_BLOCKED"),
        (FAILED, RunState.FAILED, "LEGACY_ERROR"),
        (CUT_OFF, RunState.FAILED, "LEGACY_INCOMPLETE"),
    ],
)
def test_blocked_failed_and_cut_off_are_told_apart(name: str, state: RunState, reason: str) -> None:
    run = legacy(name).run
    assert run.state is state
    assert run.error is not None
    assert (run.error.reason, run.error.stage) == (reason, run.stage)
    assert run.stage > 0
    assert [one.state for one in run.outputs] == [state]


def test_an_entity_of_an_unknown_type_is_named_as_left_out() -> None:
    assert legacy(CUT_OFF).left_out == ("03_output_3d.glb: the type 'output_3d' is not known here",)


def test_times_without_a_zone_are_read_in_the_zone_that_was_said() -> None:
    run = legacy(WHOLE, LegacyReading(zone=ZoneInfo("Europe/Berlin"))).run
    assert run.created_at == datetime(2025, 11, 4, 18, 0, 0, 1, tzinfo=UTC)


def test_a_level_nobody_knows_is_refused_until_somebody_says_what_it_means(
    tmp_path: Path,
) -> None:
    folder = changed(tmp_path, WHOLE, safety_level="off")
    with pytest.raises(LegacyError, match="--level off=LEVEL"):
        read_run(folder, LegacyReading())
    said = LegacyReading(levels={"off": SafetyLevel.RESEARCH})
    assert read_run(folder, said).run.safety_level is SafetyLevel.RESEARCH


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("layout_version", 1, "of this system"),
        ("timestamp", "yesterday", "timestamp"),
        ("timestamp", "0001-01-01T00:00:00+23:00", "timestamp"),
        ("execution_mode", "warp", "execution_mode"),
        ("config_name", "", "config_name"),
        ("run_id", 7, "run_id"),
        ("entities", [{"sequence": 1}], "type"),
        ("entities", "none", "entities"),
        ("expected_outputs", [1], "expected_outputs"),
    ],
)
def test_a_document_that_does_not_fit_is_refused_with_its_field(
    tmp_path: Path, field: str, value: object, said: str
) -> None:
    with pytest.raises(LegacyError, match=said):
        read_run(changed(tmp_path, WHOLE, **{field: value}), LegacyReading())


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "final/x", "..", "a\x00b", ""])
def test_a_file_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    entity = {"sequence": 1, "type": "input", "filename": name, "timestamp": "2025-01-01T00:00:00"}
    with pytest.raises(LegacyError, match="not a plain file name"):
        read_run(changed(tmp_path, WHOLE, entities=[entity]), LegacyReading())


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = changed(tmp_path, WHOLE)
    (folder / "01_input.txt").unlink()
    (folder / "01_input.txt").symlink_to("/etc/hostname")
    with pytest.raises(LegacyError):
        read_run(folder, LegacyReading())


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("01_input.txt", None, "missing"),
        ("01_input.txt", b"", "EMPTY_MEDIA"),
        ("01_input.txt", b"\xff\xfe", "NOT_UTF8"),
        ("03_safety.json", b"{", "NOT_JSON"),
        ("06_output_image.png", b"<html>", "MEDIA_TYPE_NOT_ALLOWED"),
    ],
)
def test_bytes_that_are_not_what_they_should_be_are_refused(
    tmp_path: Path, name: str, data: bytes | None, said: str
) -> None:
    folder = changed(tmp_path, WHOLE)
    (folder / name).unlink()
    if data is not None:
        (folder / name).write_bytes(data)
    with pytest.raises(LegacyError, match=said):
        read_run(folder, LegacyReading())


def test_a_file_that_changes_between_reading_and_copying_is_refused(tmp_path: Path) -> None:
    folder = changed(tmp_path, WHOLE)
    found = read_run(folder, LegacyReading())
    (folder / "01_input.txt").write_text("something else")
    source = LegacySource(folder, found)
    with pytest.raises(DataLoss, match=r"01_input\.txt"):
        b"".join(recorded_bytes(source, found.run.run_id, found.run.entities[0]))


def test_folders_are_found_below_dates_and_devices_as_well(tmp_path: Path) -> None:
    deep = tmp_path / "2025-11-04" / "dev_0123"
    shutil.copytree(FIXTURES / WHOLE, deep / WHOLE)
    shutil.copytree(FIXTURES / FAILED, tmp_path / FAILED)
    assert set(find_legacy(tmp_path)) == {tmp_path / FAILED, deep / WHOLE}
    assert find_legacy(tmp_path / FAILED) == [tmp_path / FAILED]


def test_nothing_is_written_into_a_legacy_folder(tmp_path: Path) -> None:
    folder = changed(tmp_path, IN_FINAL)
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    read_run(folder, LegacyReading())
    assert {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]} == before
