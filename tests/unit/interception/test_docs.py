"""docs/recipes.md tells the truth."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.interception.catalogue import load_recipes
from services.interception.models_file import ProviderFile, load_models
from services.interception.settings import InterceptionSettings
from tests.unit.interception.writing import RECIPES, finished, written

MODELS = (Path(__file__).resolve().parents[3] / "docs" / "models.md").read_text()
TEXT = (Path(__file__).resolve().parents[3] / "docs" / "recipes.md").read_text()
SAMPLES = dict(re.findall(r"^- \*\*(\w+)\*\*: (.+)$", TEXT, re.MULTILINE))


def test_the_table_names_every_recipe_with_its_technique() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| (\d+) \| [^|]+ \| (\w+) \| ([^|]+) \|$", TEXT, re.MULTILINE
    )
    assert {row[0] for row in rows} == set(RECIPES)
    for name, shown, age, model, technique in rows:
        recipe = RECIPES[name]
        assert shown == recipe.title["de"]
        assert int(age) == recipe.minimum_age
        steps = recipe.steps or (recipe,)
        if recipe.writing.technique != "unchanged":
            assert set(re.findall(r"`(\w+)`", technique)) == {s.writing.technique for s in steps}
        assert (model == "never") == recipe.needs_no_model


def test_every_recipe_that_changes_a_german_text_has_a_sample() -> None:
    without = {"user_defined", "translation_en", "passthrough", "image_comparison"}
    assert set(SAMPLES) == set(RECIPES) - without


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"stillepost"}))
def test_a_sample_is_what_the_writer_writes(name: str) -> None:
    made = finished(name, "Ein Hund im Regen").replace("\n\n", " — ").replace("\n", " / ")
    assert SAMPLES[name] == made


def test_the_recipe_to_begin_with_is_a_good_one_and_so_small(tmp_path: Path) -> None:
    name, text = re.findall(r"`(\w+)\.yaml`:\n\n```yaml\n(.+?)```", TEXT, re.DOTALL)[0]
    (tmp_path / f"{name}.yaml").write_text(text)
    assert load_recipes(tmp_path)[name].title["de"] == "Haiku"


def test_every_technique_of_a_recipe_is_explained() -> None:
    explained = TEXT[TEXT.index("## The built-in writer") : TEXT.index("What it makes of")]
    for recipe in RECIPES.values():
        for step in recipe.steps or (recipe,):
            technique = step.writing.technique
            assert technique == "unchanged" or f"`{technique}`" in explained, technique


def test_the_sample_of_the_chain_is_what_eight_passes_write() -> None:
    text, heard = "Ein Hund im Regen", []
    for number in range(1, 9):
        text = written("stillepost", text, number=number)
        heard.append(text)
    assert SAMPLES["stillepost"] == " → ".join(heard)


def test_every_setting_and_field_of_models_is_explained() -> None:
    for name in InterceptionSettings.model_fields:
        if name.startswith("openai_") or name == "local_only":
            assert f"`{name.upper()}`" in MODELS, name
    for name in ProviderFile.model_fields:
        assert f"`{name}`" in MODELS, name


def test_the_table_of_models_that_is_shown_is_right(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```yaml\n(.+?)```", MODELS, re.DOTALL)
    (tmp_path / "models.yaml").write_text(shown)
    table = load_models(tmp_path / "models.yaml")
    assert str(table.chain("fast", "interception", "dada")[0]) == "ollama/llama3.2"
