"""Recipes that people here wrote: read again when they change, and never what stops anything."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest
import yaml

from services.interception import local_recipes
from services.interception.local_recipes import LocalRecipes
from services.interception.shelf import RecipeShelf
from services.kit.catalogue import CONFIGS
from tests.unit.interception.writing import RECIPES

DADA = (CONFIGS / "interception" / "dada.yaml").read_text()


def write(folder: Path, name: str, **changes: object) -> Path:
    path = folder / name
    said = yaml.safe_load(DADA) | changes
    is_json = path.suffix == ".json"
    path.write_text(json.dumps(said) if is_json else yaml.safe_dump(said, allow_unicode=True))
    return path


def local(folder: Path) -> LocalRecipes:
    return LocalRecipes(folder, frozenset(RECIPES))


def reasons(read: LocalRecipes) -> dict[str, str]:
    return {f"{each.file}:{each.field}": each.reason for each in read.defects}


async def test_what_is_added_changed_and_taken_away_is_seen(tmp_path: Path) -> None:
    shelf = RecipeShelf(RECIPES, local(tmp_path))
    await shelf.refresh()
    assert set(shelf) == set(RECIPES)

    path = write(tmp_path, "mine.yaml", category="mine")
    await shelf.refresh()
    assert shelf["mine"].category == "mine"
    assert shelf["mine"].origin == "local"
    assert shelf["dada"].origin == "shipped"

    write(tmp_path, "mine.yaml", category="changed")
    await shelf.refresh()
    assert shelf["mine"].category == "changed"

    path.unlink()
    await shelf.refresh()
    assert set(shelf) == set(RECIPES)


async def test_a_broken_file_keeps_what_it_last_said_and_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = RecipeShelf(RECIPES, local(tmp_path))
    path = write(tmp_path, "mine.yaml", category="good")
    await shelf.refresh()
    path.write_text("name: [unclosed\n")
    with caplog.at_level(logging.WARNING):
        await shelf.refresh()
        await shelf.refresh()
    assert shelf["mine"].category == "good"
    told = [record for record in caplog.records if "not usable" in record.message]
    assert len(told) == 1
    assert told[0].facts["file"] == "mine.yaml"  # type: ignore[attr-defined]

    write(tmp_path, "mine.yaml", category="mended")
    await shelf.refresh()
    assert shelf["mine"].category == "mended"


async def test_a_folder_that_goes_away_takes_nothing_along(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    write(folder, "mine.yaml")
    read = local(folder)
    assert read.read()
    folder.rename(tmp_path / "elsewhere")
    assert read.read()
    assert set(read.recipes) == {"mine"}
    assert reasons(read) == {f"{folder}:": "No such file or directory"}
    (tmp_path / "elsewhere").rename(folder)
    assert read.read()
    assert read.defects == ()


def test_nothing_changed_is_told_as_nothing(tmp_path: Path) -> None:
    write(tmp_path, "mine.yaml")
    read = local(tmp_path)
    assert read.read()
    assert not read.read()


def test_what_cannot_be_used_is_named_with_file_field_and_reason(tmp_path: Path) -> None:
    write(tmp_path, "bauhaus.yaml")
    write(tmp_path, "Mine.yaml")
    write(tmp_path, "twice.json")
    write(tmp_path, "twice.yaml")
    write(tmp_path, "wrong.yaml", audience={"min_age": 120, "workshop_suitable": True})
    write(tmp_path, "steps.yaml", pipeline="chain")
    (tmp_path / "large.yaml").write_bytes(b"#" * (local_recipes.MAX_BYTES + 1))
    (tmp_path / "bomb.yaml").write_text("a: &a [1]\nb: *a\n")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "notes.txt").write_text("no recipe")
    (tmp_path / ".draft.yaml").write_text("no recipe yet")
    read = local(tmp_path)
    read.read()
    found = reasons(read)
    assert set(read.recipes) == {"twice"}
    assert "bauhaus is a recipe of Artlab's" in found["bauhaus.yaml:"]
    assert "file name" in found["Mine.yaml:"]
    assert "second file" in found["twice.yaml:"]
    assert "99" in found["wrong.yaml:audience.min_age"]
    assert "steps" in found["steps.yaml:"]
    assert "larger" in found["large.yaml:"]
    assert "aliases" in found["bomb.yaml:"]
    assert found["folder.yaml:"] == found["pipe.yaml:"] == "not a file"
    assert set(found) == {
        "bauhaus.yaml:", "Mine.yaml:", "twice.yaml:", "wrong.yaml:audience.min_age", "steps.yaml:",
        "large.yaml:", "bomb.yaml:", "gone.yaml:", "folder.yaml:", "pipe.yaml:",
    }  # fmt: skip


def test_all_together_fit_into_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [write(tmp_path, f"r{number}.yaml").stat().st_size for number in range(3)]
    monkeypatch.setattr(local_recipes, "MAX_BYTES_OF_ALL", sum(sizes) - 1)
    read = local(tmp_path)
    read.read()
    assert set(read.recipes) == {"r0", "r1"}
    assert list(reasons(read)) == ["r2.yaml:"]


def test_a_flood_of_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_recipes, "MAX_RECIPES", 3)
    monkeypatch.setattr(local_recipes, "MAX_ENTRIES", 5)
    for number in range(9):
        write(tmp_path, f"r{number}.yaml")
    read = local(tmp_path)
    read.read()
    assert len(read.recipes) == 3
    assert {reason for reason in reasons(read).values()} >= {"5 recipes; only the first 3 are read"}
