from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from services.kit.catalogue import CONFIGS
from services.kit.defects import CatalogueError
from services.orchestrator.engine.definition import parse_definition
from services.orchestrator.engine.loader import load_pipelines
from services.orchestrator.engine.mermaid import mermaid
from services.orchestrator.engine.template import Reference, Template
from services.orchestrator.steps.table import FACTORIES


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    shutil.copytree(CONFIGS / "pipelines", tmp_path / "pipelines")
    return tmp_path


def defects_of(configs: Path) -> list[str]:
    with pytest.raises(CatalogueError) as refused:
        load_pipelines(configs, FACTORIES)
    return [str(defect) for defect in refused.value.defects]


def test_the_pipelines_of_this_installation_have_no_defects_and_are_found_by_name() -> None:
    found = load_pipelines(CONFIGS, FACTORIES)
    assert list(found) == sorted(found)
    shipped = {"four_stages", "text_only", "translation", "comparison", "code", "teacher_approval"}
    assert shipped <= set(found)
    for name, definition in found.items():
        assert definition.name == name
        assert {"en", "de"} <= set(definition.title) & set(definition.description)


def test_a_recorded_document_gives_an_equal_definition() -> None:
    for definition in load_pipelines(CONFIGS, FACTORIES).values():
        again = parse_definition(json.loads(definition.document), "plan")
        assert again == definition
        assert again.sha256 == definition.sha256


def test_whatever_reaches_media_comes_from_the_check_before_it() -> None:
    for definition in load_pipelines(CONFIGS, FACTORIES).values():
        kinds = {step.id: step.kind for step in definition.steps}
        for step in definition.steps:
            if step.kind == "media_generation":
                assert isinstance(step.inputs, dict)
                given = step.inputs["text"]
                assert isinstance(given, Template)
                (only,) = given.alternatives
                assert isinstance(only, Reference)
                assert kinds[only.parts[1]] == "pre_output_safety"


def test_the_defects_of_all_files_are_told_at_once(configs: Path) -> None:
    (configs / "pipelines" / "code.yaml").write_text("name: [")
    (configs / "pipelines" / "comparison.yaml").rename(configs / "pipelines" / "compare.yaml")
    (configs / "pipelines" / "text_only.yaml").write_text("name: text_only\nsteps: []\n")
    found = defects_of(configs)
    assert any(line.startswith("code.yaml: ") for line in found)
    assert "compare.yaml: name: the file is called compare, the pipeline comparison" in found
    assert "text_only.yaml: steps: the list is empty" in found


def test_the_word_on_needs_no_quotes(configs: Path) -> None:
    text = "name: x\nsteps:\n- id: a\n  type: set\n  retry: {attempts: 2, on: [UNAVAILABLE]}\n"
    (configs / "pipelines" / "x.yaml").write_text(text)
    found = load_pipelines(configs, FACTORIES)["x"]
    assert found.steps[0].retry.on == ("UNAVAILABLE",)


def test_a_folder_without_pipelines_is_a_defect(tmp_path: Path) -> None:
    assert defects_of(tmp_path) == ["pipelines: no pipelines here"]


def test_a_pipeline_is_drawn_with_its_conditions_and_what_leads_back() -> None:
    drawn = mermaid(load_pipelines(CONFIGS, FACTORIES)["teacher_approval"])
    assert drawn.startswith("flowchart TD\n")
    assert '  s_approval -.->|"blocked, at most 2×"| s_interception\n' in drawn
    assert '  subgraph s_outputs ["outputs"]\n' in drawn


def test_what_a_file_says_cannot_break_out_of_the_drawing() -> None:
    document = {
        "name": "x",
        "steps": [{"id": "a", "type": "set"}, {"id": "end", "type": "set"}],
        "flow": {
            "paths": [
                {
                    "from_step": "a",
                    "to_step": "end",
                    "condition": {"equals": ["{{ input.text }}", '"| b <script>\n--> #']},
                }
            ]
        },
    }
    line = mermaid(parse_definition(document, "x.yaml")).splitlines()[3]
    assert line.count("|") == 2
    assert line.count('"') == 2
    assert "<" not in line


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("kind: approve", "kind: aprove", "steps.3.config.kind"),
        ("seconds: 86400", "seconds: 0", "steps.3.config.seconds"),
        ("who: teacher", "whom: teacher", "steps.3.config.whom"),
    ],
)
def test_a_question_that_could_not_be_asked_is_a_defect(
    configs: Path, old: str, new: str, field: str
) -> None:
    path = configs / "pipelines" / "teacher_approval.yaml"
    path.write_text(path.read_text().replace(old, new))
    (told,) = defects_of(configs)
    assert told.startswith(f"teacher_approval.yaml: {field}: ")


def test_a_check_for_a_purpose_that_there_is_not_is_a_defect(configs: Path) -> None:
    text = "name: x\nsteps:\n- id: a\n  type: check_text\n  config: {purpose: fun}\n"
    (configs / "pipelines" / "x.yaml").write_text(text)
    (told,) = defects_of(configs)
    assert told.startswith("x.yaml: steps.0.config.purpose: expected one of ")
