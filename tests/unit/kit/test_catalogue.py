"""Catalogue files are read so that all defects are told at once."""

from __future__ import annotations

import json
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


def test_json_is_read_as_programs_write_it(tmp_path: Path) -> None:
    written = {"name": "Brücke \U0001f600 \\ / \t", "sizes": [1e3, -0.5, 12], "none": None}
    path = tmp_path / "thing.json"
    for text in (json.dumps(written), json.dumps(written, ensure_ascii=False, indent="\t")):
        for mark in ("", "\ufeff"):
            path.write_text(mark + text, encoding="utf-8")
            assert load_document(path) == written


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"name": "x", "name": "y"}', "a key is given twice: 'name'"),
        ('{"things": [{"n\\u0061me": 1, "name": 2}]}', "a key is given twice: 'name'"),
        ('{"size": NaN}', "NaN"),
        ('{"size": -Infinity}', "NaN and Infinity"),
        ('{"size": 1e999}', "too large"),
        ('{"name": ["\\ud83d"]}', r"half of a surrogate pair: name\[0\]"),
        ('{"name": "x",}', "not JSON: line 1, column"),
        ("{\n  name: x\n}", "not JSON: line 2, column 3"),
        ("# a remark\n{}", "not JSON: line 1"),
        ("", "not JSON"),
        ("[" * 100_000, "nested deeper than 64"),
        ('"' + "x" * 1024 * 1024 + '"', "larger than"),
    ],
)
def test_what_json_leaves_open_is_a_defect(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "thing.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=why):
        load_document(path)


def test_yaml_that_is_nested_too_deeply_is_a_defect_as_well(tmp_path: Path) -> None:
    path = tmp_path / "thing.yaml"
    path.write_text("[" * 20_000 + "]" * 20_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        load_document(path)


def test_an_empty_catalogue_is_a_defect(tmp_path: Path) -> None:
    defects: list[Defect] = []
    assert parse_folder(tmp_path / "missing", Thing, defects) == {}
    assert defects


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ValueError, match="larger than"):
        load_document(path)
