"""docs/pipelines.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from services.orchestrator.engine.condition import Condition
from services.orchestrator.engine.condition_parser import NAMES, parse_condition
from services.orchestrator.engine.definition import parse_definition
from services.orchestrator.engine.generic import GENERIC
from services.orchestrator.engine.graph import EACH_OUTPUT
from services.orchestrator.engine.reader import Reader
from services.orchestrator.engine.template import Reference, Template, parse_filling, templates_in
from services.orchestrator.engine.values import VALUES
from services.orchestrator.steps.table import FACTORIES

TEXT = (Path(__file__).resolve().parents[4] / "docs" / "pipelines.md").read_text()


def rows(heading: str) -> list[str]:
    """What stands first in each row of the tables of a chapter."""
    chapter = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(.+?)`(?: \||  *`)", chapter, re.MULTILINE)


@pytest.mark.parametrize("row", rows("Conditions"))
def test_every_condition_is_written_as_a_file_has_it(row: str) -> None:
    reader = Reader("docs/pipelines.md")
    parse_condition(reader, yaml.safe_load(row), row)
    assert reader.defects == []


def test_every_condition_has_its_example() -> None:
    told = {row.split(":")[0] for row in rows("Conditions")}
    assert told == {*NAMES, "always"}
    assert len(get_args(Condition)) == 8


@pytest.mark.parametrize("row", rows("Templates"))
def test_every_template_is_one_and_names_what_there_is(row: str) -> None:
    for template in templates_in(parse_filling(row)):
        assert isinstance(template, Template)
        for one in template.alternatives:
            if isinstance(one, Reference) and one.parts[0] in VALUES:
                assert one.parts[1] in VALUES[one.parts[0]]


def test_every_value_of_a_run_is_told() -> None:
    chapter = TEXT.split("## Templates\n")[1].split("\n## ")[0]
    for names in VALUES.values():
        for name in names:
            assert re.search(rf"\b{name}\b", chapter), name


def test_every_type_is_told() -> None:
    told = set(rows("Grammar"))
    assert {*GENERIC, *FACTORIES, EACH_OUTPUT} <= told


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(name:.*?)```", TEXT, re.DOTALL))
def test_the_pipelines_of_the_first_ten_minutes_have_no_defects(block: str) -> None:
    parse_definition(yaml.safe_load(block), "docs/pipelines.md", None, VALUES)
