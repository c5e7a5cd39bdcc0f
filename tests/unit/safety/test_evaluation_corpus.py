"""The corpus that quality is measured with: whole, large enough, and its test part frozen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kit.catalogue import CONFIGS, CatalogueError
from services.safety.domain.levels import Level, Purpose
from services.safety.evaluation.corpus import Claim, Part, load_corpus, read_frozen
from tests.unit.safety.support import FOLDER, safety

CORPUS = FOLDER / "corpus"


def test_the_corpus_is_large_and_says_what_children_ask_for_most() -> None:
    corpus = load_corpus(CORPUS, Part, safety().policy.categories)
    kinds = Counter(one.kind for one in corpus.sentences)
    languages = Counter(one.language for one in corpus.sentences)
    assert len(corpus.sentences) >= 1500
    assert kinds["harmless"] > len(corpus.sentences) / 2
    assert min(kinds.values()) >= 150
    assert min(languages.values()) > 0.45 * len(corpus.sentences)
    forbidden = {one.claim.category for one in corpus.sentences if one.kind == "forbidden"}
    # The last one is what a model calls unsafe by a name of its own.
    assert forbidden == set(safety().policy.categories) - {"other_harm"}


def test_the_readme_counts_what_is_there() -> None:
    corpus = load_corpus(CORPUS, Part, safety().policy.categories)
    text = (CORPUS / "README.md").read_text(encoding="utf-8")
    for kind, count in Counter(one.kind for one in corpus.sentences).items():
        assert f"| {kind} | {count} |" in text
    for written in (f"{len(corpus.sentences):,}".replace(",", " "), f"{len(corpus.evasions)} that"):
        assert written in text


def test_the_documented_figures_are_of_this_test_part() -> None:
    # Otherwise: artlab evaluate safety --part test --markdown, into docs/safety.md.
    corpus = load_corpus(CORPUS, [Part.TEST], safety().policy.categories)
    measured = (
        f"part test, {len(corpus.sentences)} sentences; "
        f"test part version {read_frozen(CORPUS).version}; corpus {corpus.digest[:8]};"
    )
    document = CONFIGS.parent / "docs" / "safety.md"
    assert measured in document.read_text(encoding="utf-8")


def test_both_parts_have_the_same_shape() -> None:
    def shape(part: Part) -> dict[str, float]:
        corpus = load_corpus(CORPUS, [part], safety().policy.categories)
        kinds = Counter(f"{one.kind} {one.language}" for one in corpus.sentences)
        return {kind: count / len(corpus.sentences) for kind, count in kinds.items()}

    assert shape(Part.TEST) == pytest.approx(shape(Part.DEVELOPMENT), abs=0.015)


def test_the_test_part_is_frozen() -> None:
    # Who changes it adds a version to frozen.yaml, and says why.
    assert read_frozen(CORPUS).intact


def test_a_changed_test_part_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, "test/en_harmless.yaml", harmless("A dog"))
    version = {"version": 1, "sha256": "0" * 64, "why": "the first one"}
    write(tmp_path, "frozen.yaml", {"versions": [version]})
    assert not read_frozen(tmp_path).intact


def test_a_claim_leaves_open_what_it_does_not_say() -> None:
    forbidden = Claim("drugs", refused_up_to=Level.YOUTH, allowed_from=None)
    assert [forbidden.refused(level) for level in Level] == [True, True, None, None]
    provocative = Claim("horror", allowed_from=Level.YOUTH)
    assert [provocative.refused(level) for level in Level] == [None, False, False, False]


def test_purposes_limit_a_claim(tmp_path: Path) -> None:
    content = harmless("Explain a flag")
    content["groups"][0]["purposes"] = ["input"]
    write(tmp_path, "development/en_harmless.yaml", content)
    write(tmp_path, "development/evasions/en.yaml", EVASIONS)
    corpus = load_corpus(tmp_path, [Part.DEVELOPMENT], ["drugs"])
    assert corpus.sentences[0].purposes == (Purpose.INPUT,)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"groups": [{"sentences": ["A dog", "a  DOG"]}]}, "stands twice"),
        ({"groups": [{"sentences": ["A dog"], "category": "drgus"}]}, "unknown category drgus"),
        ({"groups": [{"sentences": ["A dog"], "refused_up_to": "kids"}]}, "forbidden sentences"),
        ({"class": "provocative"}, "allowed_from is for provocative"),
        ({"class": "forbidden"}, "refused_up_to is for forbidden"),
        ({"groups": [{"sentences": ["  "]}]}, "pattern"),
        ({"levels": ["kids"]}, "Extra inputs"),
    ],
)
def test_a_defect_is_told(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    write(tmp_path, "development/en_harmless.yaml", {**harmless("A cat"), **change})
    write(tmp_path, "development/evasions/en.yaml", EVASIONS)
    with pytest.raises(CatalogueError) as caught:
        load_corpus(tmp_path, [Part.DEVELOPMENT], ["drugs"])
    assert any(reason in str(defect) for defect in caught.value.defects)


def test_the_word_to_hide_has_to_be_there(tmp_path: Path) -> None:
    hidden = {**EVASIONS["hidden"][0], "text": "Nothing of the kind"}
    write(tmp_path, "development/en_harmless.yaml", harmless("A cat"))
    write(tmp_path, "development/evasions/en.yaml", {**EVASIONS, "hidden": [hidden]})
    with pytest.raises(CatalogueError, match="'cocaine' once"):
        load_corpus(tmp_path, [Part.DEVELOPMENT], ["drugs"])


EVASIONS: dict[str, Any] = {
    "language": "en",
    "hidden": [
        {"text": "No cocaine", "word": "cocaine", "category": "drugs", "refused_up_to": "kids"}
    ],
    "written": [{"text": "c0caine", "way": "digits", "category": "drugs", "refused_up_to": "kids"}],
}


def harmless(*sentences: str) -> dict[str, Any]:
    return {"language": "en", "class": "harmless", "groups": [{"sentences": list(sentences)}]}


def write(folder: Path, name: str, content: object) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
