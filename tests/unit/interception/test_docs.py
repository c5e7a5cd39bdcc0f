"""docs/recipes.md tells the truth."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.interception.settings import InterceptionSettings
from tests.unit.interception.writing import RECIPES, written

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "recipes.md").read_text()
SAMPLES = dict(re.findall(r"^- \*\*(\w+)\*\*: (.+)$", TEXT, re.MULTILINE))


def test_the_table_names_every_recipe_with_its_technique() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \| (\w+) \| ([^|]+) \|$", TEXT, re.MULTILINE)
    assert {name for name, _, _ in rows} == set(RECIPES)
    for name, model, technique in rows:
        assert RECIPES[name].writing.technique in technique
        assert (model == "never") == RECIPES[name].needs_no_model


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"stillepost"}))
def test_a_sample_is_what_the_writer_writes(name: str) -> None:
    made = written(name, "Ein Hund im Regen").replace("\n\n", " — ").replace("\n", " / ")
    assert SAMPLES[name] == made


def test_the_sample_of_the_chain_is_what_eight_passes_write() -> None:
    text, heard = "Ein Hund im Regen", []
    for number in range(1, 9):
        text = written("stillepost", text, number=number)
        heard.append(text)
    assert SAMPLES["stillepost"] == " → ".join(heard)


def test_every_setting_of_the_model_is_explained() -> None:
    for name in InterceptionSettings.model_fields:
        if name.startswith("openai_") or name == "local_only":
            assert f"`{name.upper()}`" in TEXT or f"`{name.upper()}" in TEXT, name
