"""The JSON Schemas that editors use are those of the models that read the files."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from services.cli.commands.schema import schema
from services.cli.schemas import SCHEMAS
from services.kit.catalogue import CONFIGS

SHIPPED = {"recipe": "interception/*.yaml", "output": "output/*.yaml", "models": "models.yaml"}


@pytest.mark.parametrize("kind", sorted(SCHEMAS))
def test_the_kept_schema_is_current_and_knows_every_shipped_file(kind: str) -> None:
    kept = (CONFIGS / "schema" / f"{kind}.schema.json").read_text()
    printed = CliRunner().invoke(schema, [kind])
    assert printed.exit_code == 0
    assert printed.output == kept, f"run: artlab schema {kind} > configs/schema/{kind}.schema.json"
    validator = jsonschema.Draft202012Validator(json.loads(kept))
    for path in sorted(CONFIGS.glob(SHIPPED[kind])):
        assert list(validator.iter_errors(yaml.safe_load(path.read_text()))) == [], path.name


def test_every_shipped_recipe_tells_an_editor_where_its_schema_is() -> None:
    for path in sorted((CONFIGS / "interception").glob("*.yaml")):
        first = path.read_text().splitlines()[0]
        assert first == "# yaml-language-server: $schema=../schema/recipe.schema.json", path.name


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"pipeline": "chain"},
        {"writer": {"technique": "magic"}},
        {"audience": {"min_age": 120, "workshop_suitable": True}},
        {"name": {"en": "Only English"}},
    ],
)
def test_an_editor_marks_what_is_wrong(change: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(
        json.loads((CONFIGS / "schema" / "recipe.schema.json").read_text())
    )
    document = yaml.safe_load((CONFIGS / "interception" / "dada.yaml").read_text())
    assert list(validator.iter_errors(document)) == []
    assert list(validator.iter_errors(document | change)) != []
