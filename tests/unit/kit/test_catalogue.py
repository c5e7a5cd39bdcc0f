"""Catalogue files are read so that all defects are told at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from services.kit.catalogue import CatalogueError, Defect, load_document, parse_folder


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    size: int = 1


def test_yaml_and_json_are_read_by_stem(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("name: Brücke\nsize: 2\n", encoding="utf-8")
    (tmp_path / "a.json").write_text('{"name": "A"}')
    (tmp_path / "README.md").write_text("not a thing")
    defects: list[Defect] = []
    things = parse_folder(tmp_path, Thing, defects)
    assert defects == []
    assert {name: thing.size for name, thing in things.items()} == {"a": 1, "b": 2}


def test_all_defects_are_told_with_file_field_and_reason(tmp_path: Path) -> None:
    (tmp_path / "ok.yaml").write_text("name: x")
    (tmp_path / "ok.json").write_text('{"name": "twice"}')
    (tmp_path / "Bad-Name.yaml").write_text("name: x")
    (tmp_path / "unknown.yaml").write_text("name: x\ncolour: red\nsize: big")
    (tmp_path / "double.yaml").write_text("name: x\nname: y")
    (tmp_path / "alias.yaml").write_text("name: &a x\nsize: *a")
    (tmp_path / "code.yaml").write_text("!!python/object/apply:os.system ['true']")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff")
    defects: list[Defect] = []
    parse_folder(tmp_path, Thing, defects)
    told = {(defect.file, defect.field) for defect in defects}
    assert told == {
        ("ok.yaml", ""),
        ("Bad-Name.yaml", ""),
        ("unknown.yaml", "colour"),
        ("unknown.yaml", "size"),
        ("double.yaml", ""),
        ("alias.yaml", ""),
        ("code.yaml", ""),
        ("latin.yaml", ""),
    }
    assert "8 defects" in str(CatalogueError(defects))


def test_an_empty_catalogue_is_a_defect(tmp_path: Path) -> None:
    defects: list[Defect] = []
    assert parse_folder(tmp_path / "missing", Thing, defects) == {}
    assert defects


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ValueError, match="larger than"):
        load_document(path)
