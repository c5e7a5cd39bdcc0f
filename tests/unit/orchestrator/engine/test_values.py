"""What files are checked against is what a run gives."""

from __future__ import annotations

import pytest

from services.kit.defects import CatalogueError
from services.orchestrator.engine.definition import parse_definition
from services.orchestrator.engine.values import VALUES
from services.orchestrator.template_values import input_values, plan_values
from tests.unit.orchestrator.test_plan_document import SMALL


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ input.txt }}", "there is no txt in input; did you mean text?"),
        ("{{ plan.sed }}", "there is no sed in plan; did you mean seed?"),
    ],
)
def test_a_value_that_no_run_has_is_a_defect(template: str, reason: str) -> None:
    document = {"name": "x", "steps": [{"id": "a", "type": "set", "inputs": {"v": template}}]}
    with pytest.raises(CatalogueError) as refused:
        parse_definition(document, "x.yaml", {}, VALUES)
    assert [one.field for one in refused.value.defects] == ["steps.0.inputs.v"]
    assert reason in refused.value.defects[0].reason


def test_what_a_run_gives_is_what_files_are_checked_against() -> None:
    plan = plan_values(SMALL)
    outputs = plan["outputs"]
    assert isinstance(outputs, list)
    assert input_values(SMALL).keys() == VALUES["input"]
    assert plan.keys() == VALUES["plan"]
    assert outputs[0].keys() == VALUES["output"]
