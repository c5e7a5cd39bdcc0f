"""The files: all defects at once, and no list is never "all safe"."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kit.catalogue import CatalogueError
from services.safety.catalogue import load_safety
from services.safety.domain.matching import Matcher, Term
from services.safety.domain.reader import Reader
from tests.unit.safety.support import FOLDER, read, safety


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(FOLDER, tmp_path / "safety")
    return tmp_path / "safety"


def change(path: Path, how: Callable[[Any], object]) -> None:
    document = read(path)
    how(document)
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")


def defects(folder: Path) -> list[str]:
    with pytest.raises(CatalogueError) as caught:
        load_safety(folder)
    return [str(defect) for defect in caught.value.defects]


def test_our_own_files_are_in_order() -> None:
    assert safety().version
    assert safety().wordlist.version != safety().version


@pytest.mark.parametrize(
    "name",
    [
        *("policy.yaml", "context.yaml", "terms/de.yaml", "terms/en.yaml"),
        *("rules/de.yaml", "rules/en.yaml", "explanations/de.yaml", "explanations/en.yaml"),
    ],
)
def test_a_missing_file_stops_everything(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert any(found.startswith(name) for found in defects(folder))


@pytest.mark.parametrize("part", ["terms", "rules", "explanations"])
def test_an_empty_folder_stops_everything(folder: Path, part: str) -> None:
    shutil.rmtree(folder / part)
    assert f"{part}/: no catalogue files here" in defects(folder)


@pytest.mark.parametrize(
    "content", ["", "{", "null", "[]", "a: 1", "\ud800".encode("utf-8", "surrogatepass")]
)
def test_a_broken_file_is_named(folder: Path, content: str | bytes) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "terms" / "de.yaml").write_bytes(data)
    assert all(found.startswith("terms/de.yaml") for found in defects(folder))


def test_all_defects_are_told_at_once(folder: Path) -> None:
    change(folder / "policy.yaml", lambda d: d["levels"]["kids"].pop("violence"))
    change(folder / "terms" / "de.yaml", lambda d: d["groups"][0].update(category="unheard_of"))
    change(folder / "rules" / "en.yaml", lambda d: d["rules"][0].update(severity=9))
    change(folder / "explanations" / "de.yaml", lambda d: d["kids"].pop("drugs"))
    (folder / "context.yaml").unlink()
    found = defects(folder)
    for name in ("policy.yaml", "terms/de.yaml", "rules/en.yaml", "explanations/de.yaml"):
        assert any(defect.startswith(name) for defect in found), name
    assert any(defect.startswith("context.yaml") for defect in found)


def drop_row(document: Any) -> None:
    document["rows"][0]["purposes"].remove("context")


def drop_judge(document: Any) -> None:
    document["rows"][2]["checks"].pop()


def allow_always_refused(document: Any) -> None:
    document["levels"]["research"]["mass_harm"] = {"outcome": "allow"}


def raise_always_refused(document: Any) -> None:
    document["levels"]["adult"]["sexualised_minors"] = {"outcome": "block", "severity": 2}


def laxer_kids(document: Any) -> None:
    document["levels"]["kids"]["violence"] = {"outcome": "allow"}


def fail_open(document: Any) -> None:
    document["rows"][0]["checks"][0]["on_failure"] = "allow"


def double_row(document: Any) -> None:
    document["rows"].append(copy.deepcopy(document["rows"][0]))


def unknown_key(document: Any) -> None:
    document["rows"][0]["unless"] = "monday"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (drop_row, "no row for kids and context"),
        (drop_judge, "needs each of wordlist, judge"),
        (allow_always_refused, "mass_harm must be blocked at research"),
        (raise_always_refused, "sexualised_minors must be blocked at adult"),
        (laxer_kids, "violence is laxer at kids than at youth"),
        (fail_open, "Input should be 'builtin' or 'error'"),
        (double_row, "a second row for kids and input"),
        (unknown_key, "Extra inputs are not permitted"),
    ],
)
def test_a_policy_that_would_let_things_pass_is_refused(
    folder: Path, how: Callable[[Any], None], reason: str
) -> None:
    change(folder / "policy.yaml", how)
    assert any(found.startswith("policy.yaml") and reason in found for found in defects(folder))


def entry(document: Any) -> Any:
    return document["groups"][0]["entries"][0]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (lambda d: entry(d).update(terms=[]), "at least 1 item"),
        (lambda d: entry(d).update(terms=["("]), "a term without letters"),
        (lambda d: entry(d).update(terms=["Hitler"]), "'Hitler' is listed twice"),
        (lambda d: entry(d).update(miss=["nur einer"]), "at least 2 items"),
        (lambda d: entry(d).update(hit=[]), "at least 1 item"),
        (lambda d: d["groups"][0].pop("source"), "Field required"),
        (lambda d: d.update(language="en"), "en, not de"),
    ],
)
def test_a_list_entry_that_shows_nothing_is_refused(
    folder: Path, how: Callable[[Any], object], reason: str
) -> None:
    change(folder / "terms" / "de.yaml", how)
    assert any(reason in found for found in defects(folder))


def test_a_changed_list_has_another_version_and_the_same_one_the_same(folder: Path) -> None:
    before = load_safety(folder)
    assert (before.version, before.wordlist.version) == (
        safety().version,
        safety().wordlist.version,
    )
    with (folder / "terms" / "de.yaml").open("a") as file:
        file.write("\n# checked again\n")
    after = load_safety(folder)
    assert after.version != before.version
    assert after.wordlist.version != before.wordlist.version


@pytest.mark.parametrize(
    "term", ["mist(kerl", "mist.*kerl", "[mist]kerl", "mist\\kerl", "mist+|kerl"]
)
def test_a_term_with_the_signs_of_a_pattern_is_taken_literally(term: str) -> None:
    matcher = Matcher([Term(term, 0)])

    def found(text: str) -> bool:
        return bool(matcher.find(Reader().read(text)[1]))

    assert found(f"Ein {term}!")
    assert not found("Ein mistxxkerl!")
    assert not found("Ein mist!")
