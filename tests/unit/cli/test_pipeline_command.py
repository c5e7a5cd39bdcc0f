from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from services.cli.program import main

EXAMPLE = str(Path(__file__).resolve().parents[3] / "docs/examples/pipelines/palette.yaml")

BLOCKING = """
name: blocking
steps:
  - {id: look, type: measure, inputs: {value: "{{ input.text }}"}}
  - {id: no_more, type: stop, inputs: {rule: "too long"}}
flow:
  paths:
    - from_step: look
      to_step: no_more
      condition: {greater: ["{{ steps.look.output.words }}", 2]}
"""


def artlab(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["pipeline", *arguments])


@pytest.fixture
def blocking(tmp_path: Path) -> str:
    path = tmp_path / "blocking.yaml"
    path.write_text(BLOCKING)
    return str(path)


def test_check_says_of_every_pipeline_of_the_catalogue_that_it_has_no_defects() -> None:
    ended = artlab("check")
    assert ended.exit_code == 0
    assert "four_stages.yaml: 8 steps, no defects" in ended.stdout


def test_check_lists_every_defect_with_file_and_field(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nsteps:\n- {id: a, type: sett}\n- {id: a, type: no_such:Step}\n")
    ended = artlab("check", str(path), EXAMPLE)
    assert ended.exit_code == 1
    lines = ended.stdout.splitlines()
    assert f"{path}: steps.0.type: there is no type sett; did you mean set?" in lines
    assert f"{path}: steps.1.id: a is the id of steps.0 already" in lines
    assert any(line.startswith(f"{path}: steps.1.type: no module no_such") for line in lines)
    assert f"{EXAMPLE}: 3 steps, no defects" in lines
    assert ended.stderr == "artlab: 3 defects\n"


def test_show_draws_in_words_for_mermaid_and_as_the_document_that_runs_record() -> None:
    words = artlab("show", "teacher_approval").stdout
    assert "    ↺ interception  if blocked, at most 2×" in words.splitlines()
    assert artlab("show", "four_stages", "--format", "mermaid").stdout.startswith("flowchart TD\n")
    document = json.loads(artlab("show", EXAMPLE, "--format", "json").stdout)
    assert document["name"] == "palette"
    assert len(document["sha256"]) == 64


def test_run_prints_each_step_as_it_ends_and_the_outputs_as_json() -> None:
    ended = artlab("run", EXAMPLE, "--input", "A red boat")
    assert ended.exit_code == 0
    assert "palette: succeeded, 1 attempt, 0.0" in ended.stdout
    result = json.loads(ended.stdout[ended.stdout.index("\n{\n") :])
    assert result["output"]["painted"]["paints"] == ["#c62828"]


def test_run_as_json_prints_one_document_with_every_step() -> None:
    ended = artlab("run", EXAMPLE, "--input", "A boat", "--json")
    result = json.loads(ended.stdout)
    assert result["state"] == "succeeded"
    assert [(one["step"], one["iteration"]) for one in result["steps"]] == [
        ("words", 1),
        ("palette", 1),
        ("words", 2),
        ("palette", 2),
        ("painted", 1),
    ]
    assert result["steps"][0]["attempts"][0]["error"] == ""


def test_run_ends_as_the_pipeline_does(blocking: str) -> None:
    assert artlab("run", blocking, "--input", "two words").exit_code == 0
    ended = artlab("run", blocking, "--input", "these are more words")
    assert ended.exit_code == 3
    assert "no_more blocked: SAFETY_BLOCKED: too long" in ended.stderr


def test_run_names_the_service_that_a_step_lacks() -> None:
    ended = artlab("run", "text_only", "--input", "Eine Blume")
    assert ended.exit_code == 1
    assert "the step needs the service run, which is not here" in ended.stderr


def test_run_goes_through_the_outputs_of_the_plan(tmp_path: Path) -> None:
    path = tmp_path / "each.yaml"
    path.write_text(
        "name: each\nsteps:\n- id: each\n  type: for_each_output\n  config:\n    body:\n"
        '      steps: [{id: a, type: set, inputs: {of: "{{ output.config }}"}}]\n'
    )
    plan = json.dumps({"outputs": [{"index": 1, "config": "dada", "kind": "text"}]})
    ended = artlab("run", str(path), "--input", "x", "--plan", plan, "--json")
    assert json.loads(ended.stdout)["output"]["each"]["outputs"][0]["output"] == {
        "a": {"of": "dada"}
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "four_stage", "--input", "x"), "did you mean four_stages?"),
        (("show", "nowhere.yaml"), "there is no file nowhere.yaml"),
        (("run", "four_stages"), "--input"),
        (("run", "four_stages", "--input", "x", "--plan", "["), "--plan"),
        (("run", "four_stages", "--input", "x", "--plan", "[]"), "expected a JSON object"),
    ],
)
def test_what_is_asked_wrongly_is_told(arguments: tuple[str, ...], told: str) -> None:
    ended = artlab(*arguments)
    assert ended.exit_code == 2
    assert told in ended.stderr


def test_a_pipeline_with_defects_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\n")
    ended = artlab("run", str(path), "--input", "x")
    assert ended.exit_code == 1
    assert f"{path}: steps: is missing" in ended.stdout
