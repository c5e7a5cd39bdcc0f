from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from services.cli.catalogue import check_catalogue
from services.cli.commands.check import check
from services.kit.catalogue import CONFIGS


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CONFIGS, tmp_path / "configs"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def lines_of(configs: Path) -> list[str]:
    return [str(defect) for defect in check_catalogue(configs).defects]


def test_our_own_catalogue_has_no_defects() -> None:
    found = check_catalogue(CONFIGS)
    assert found.defects == ()
    assert found.recipes >= 12
    assert found.outputs >= 4
    assert found.safety


def test_all_defects_of_all_parts_are_told_at_once(configs: Path) -> None:
    edit(configs / "interception" / "dada.yaml", "temperature:", "temprature:")
    edit(configs / "output" / "flux2.yaml", "kind: image", "kind: picture")
    (configs / "safety" / "policy.yaml").unlink()
    lines = lines_of(configs)
    assert any(line.startswith("interception/dada.yaml: parameters.temprature:") for line in lines)
    assert any(line.startswith("output/flux2.yaml: kind:") for line in lines)
    assert any(line.startswith("safety/policy.yaml:") for line in lines)


def test_a_defect_of_the_corpus_is_told_with_its_part(configs: Path) -> None:
    edit(configs / "safety/corpus/test/de_near.yaml", "class: near", "class: nearly")
    edit(configs / "safety/corpus/development/de_near.yaml", "language: de", "language: D")
    places = [line.split(":")[0] for line in lines_of(configs)]
    assert places == [
        "safety/corpus/development/de_near.yaml",
        "safety/corpus/test/de_near.yaml",
    ]


def test_a_catalogue_may_be_without_a_corpus(configs: Path) -> None:
    shutil.rmtree(configs / "safety" / "corpus")
    assert lines_of(configs) == []


def test_a_recipe_that_names_an_output_nobody_makes_is_told(configs: Path) -> None:
    edit(configs / "interception" / "image_comparison.yaml", "[sd35_large", "[sd36_large")
    assert lines_of(configs) == [
        "interception/image_comparison.yaml: media_preferences.output_configs.0: "
        "there is no output sd36_large"
    ]


def test_a_recipe_for_a_kind_without_defaults_is_told(configs: Path) -> None:
    edit(configs / "interception" / "dada.yaml", "default_output: image", "default_output: video")
    defaults = configs / "output_defaults.yaml"
    before, _, after = defaults.read_text().partition("video:\n")
    defaults.write_text(before + "".join(after.splitlines(keepends=True)[2:]))
    assert [line.split(": ", 1)[1] for line in lines_of(configs)] == [
        "media_preferences.default_output: output_defaults.yaml has no output for video "
        f"in mode {mode}"
        for mode in ("eco", "fast")
    ]


def test_a_catalogue_without_the_translation_of_stage_one_is_told(configs: Path) -> None:
    (configs / "interception" / "translation_en.yaml").unlink()
    assert [line.split(": ")[0] for line in lines_of(configs)] == [
        "interception/translation_en.yaml"
    ]


def test_what_is_missing_is_told_by_its_place_and_without_the_path_of_this_machine(
    configs: Path,
) -> None:
    shutil.rmtree(configs / "interception")
    (configs / "workflows" / "flux2.json").unlink()
    lines = lines_of(configs)
    assert "interception: no catalogue files here" in lines
    assert "output/flux2.yaml: workflow.file: flux2.json: No such file or directory" in lines
    assert not [line for line in lines if str(configs) in line]


def test_a_defect_of_the_models_is_told_and_so_is_a_recipe_that_is_not_there(
    configs: Path,
) -> None:
    path = configs / "models.yaml"
    edit(path, "recipes: {}", "recipes: {dadaism: {eco: [builtin]}}")
    assert lines_of(configs) == ["models.yaml: recipes.dadaism: there is no such recipe"]
    edit(path, "translation: [builtin]", "translation: [ollama/qwen3]")
    (line,) = lines_of(configs)
    assert line == "models.yaml: modes.eco.translation.0: there is no provider ollama"


def test_check_prints_one_line_per_defect_and_ends_with_one(configs: Path) -> None:
    edit(configs / "interception" / "image_comparison.yaml", "[sd35_large", "[sd36_large")
    ended = CliRunner().invoke(check, ["--configs", str(configs)])
    assert ended.exit_code == 1
    assert ended.stdout.count("\n") == 1
    assert "1 defect in" in ended.stderr


def test_check_of_our_own_catalogue_ends_with_zero() -> None:
    ended = CliRunner().invoke(check, [])
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert "no defects" in ended.stdout


def test_recipes_of_ones_own_are_checked_with_the_path_of_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dada = (CONFIGS / "interception" / "dada.yaml").read_text()
    (tmp_path / "good.yaml").write_text(dada)
    (tmp_path / "bauhaus.yaml").write_text(dada)
    (tmp_path / "old.yaml").write_text(dada.replace("min_age: 12", "min_age: 120"))
    (tmp_path / "vague.yaml").write_text(
        dada.replace("default_output: image", "output_configs: [sd36_large]")
    )
    monkeypatch.setenv("ARTLAB_RECIPES_DIR", str(tmp_path))
    ended = CliRunner().invoke(check, [])
    assert ended.exit_code == 1
    own = [line for line in ended.output.splitlines() if line.startswith(str(tmp_path))]
    assert [line.removeprefix(f"{tmp_path}/").split(": ")[:2] for line in own] == [
        ["bauhaus.yaml", "file name"],
        ["old.yaml", "audience.min_age"],
        ["vague.yaml", "media_preferences.output_configs.0"],
    ]


def test_a_table_of_models_of_ones_own_is_checked_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = (CONFIGS / "models.yaml").read_text()
    own = tmp_path / "ours.yaml"
    own.write_text(shipped)
    monkeypatch.setenv("ARTLAB_INTERCEPTION_MODELS_FILE", str(own))
    edit(own, "recipes: {}", "recipes: {dada: {eco: [builtin]}, dadaism: {eco: [builtin]}}")
    ended = CliRunner().invoke(check, [])
    assert ended.exit_code == 1
    assert ended.stdout == f"{own}: recipes.dadaism: there is no such recipe\n"
    own.unlink()
    ended = CliRunner().invoke(check, [])
    assert ended.exit_code == 2
    assert str(own) in ended.stderr
