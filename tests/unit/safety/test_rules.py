"""How rules are met: within so many words, in order where they say so, with shared word groups."""

from __future__ import annotations

from typing import Any

import pytest

from services.kit.catalogue import Defect
from services.safety.domain.reader import Reader
from services.safety.domain.rules import Rule, RuleBook
from services.safety.rules_file import build_rules, check_rules
from services.safety.schema import RulesFile, TermsFile
from tests.unit.safety.support import safety


def reader() -> Reader:
    return safety().reader


def met(text: str, **rule: Any) -> bool:
    fields = {"within": 3, "groups": (("cat", "cats"), ("dog*",)), **rule}
    book = RuleBook([Rule("a_rule", "violence", 1, **fields)], [], "1")
    return bool(book.met(*reader().read(text)))


@pytest.mark.parametrize("text", ["cat dogs", "dogs and cat", "a cat, then. Two dogs"])
def test_a_rule_is_met_in_any_order_within_so_many_words(text: str) -> None:
    assert met(text)


@pytest.mark.parametrize("text", ["cat", "dog dogs", "cat one two three dog", "catdog"])
def test_words_that_are_missing_or_too_far_do_not_meet(text: str) -> None:
    assert not met(text)


def test_ordered_groups_meet_in_their_order_only() -> None:
    groups = (("cat",), ("eats",), ("dog",))
    assert met("the cat eats a dog", groups=groups, ordered=True, within=4)
    assert met("cat cat eats eats dog", groups=groups, ordered=True, within=4)
    assert met("dog cat eats dog", groups=groups, ordered=True, within=4)
    assert not met("the dog eats a cat", groups=groups, ordered=True, within=4)
    assert not met("cat eats a big old dog", groups=groups, ordered=True, within=4)
    assert met("the dog eats a cat", groups=groups, within=4)


def test_one_word_is_not_two_in_a_row() -> None:
    groups = (("dog",), ("dog*",))
    assert not met("dog", groups=groups, ordered=True)
    assert met("dog dogs", groups=groups, ordered=True)


@pytest.mark.parametrize("ordered", [False, True])
def test_what_excuses_one_place_does_not_excuse_another(ordered: bool) -> None:
    unless = ("paper",)
    assert not met("a paper cat and dog", unless=unless, ordered=ordered)
    assert not met("cat and dog of paper", unless=unless, ordered=ordered)
    far = "cat and dog of paper one two three four five six seven cat dog"
    assert met(far, unless=unless, ordered=ordered)


def test_a_tilde_stands_for_the_endings_of_the_language() -> None:
    groups = (("wolf~",), ("dog",))
    endings = frozenset(["s", "es"])
    assert met("wolfs dog", groups=groups, inflections=endings)
    assert met("wolf dog", groups=groups, inflections=endings)
    assert not met("wolfish dog", groups=groups, inflections=endings)
    assert not met("wolfs dog", groups=groups)


def rules_file(**fields: Any) -> RulesFile:
    rule = {
        "name": "a_rule",
        "category": "violence",
        "severity": 1,
        "within": 3,
        "source": "a test",
        "all": [["@pets"], ["bites", "eats"]],
        "unless": ["@pets"],
        "hit": ["a cat bites"],
        "miss": ["a cat", "it bites"],
    }
    return RulesFile.model_validate({"language": "en", "rules": [rule], **fields})


def terms_file() -> TermsFile:
    entry = {"terms": ["a term"], "hit": ["a term"], "miss": ["one miss", "two misses"]}
    group = {"category": "violence", "severity": 1, "source": "a test", "entries": [entry]}
    document = {"language": "en", "inflections": ["s"], "allow": [], "groups": [group]}
    return TermsFile.model_validate(document)


def defects(files: dict[str, RulesFile]) -> list[Defect]:
    found: list[Defect] = []
    check_rules(files, ["violence"], found)
    return found


def test_a_group_is_for_all_files_of_its_language() -> None:
    groups = rules_file(groups={"pets": ["cat", "dog~"]}, rules=[])
    files = {"en": rules_file(), "en_pets": groups}
    assert not defects(files)
    (rule,) = build_rules(files, {"en": terms_file()})
    assert rule.groups == (("cat", "dog~"), ("bites", "eats"))
    assert rule.unless == ("cat", "dog~")
    assert rule.inflections == {"s"}


def test_what_is_wrong_with_groups_and_names_is_told_at_once() -> None:
    files = {
        "en": rules_file(groups={"pets": ["cat"], "zoo": ["@pets"]}),
        "en_pets": rules_file(groups={"pets": ["dog"]}),
        "de": rules_file(language="de"),
    }
    told = [str(defect) for defect in defects(files)]
    assert any("rules/en.yaml" in line and "no other group in it" in line for line in told)
    assert any("rules/en_pets.yaml" in line and "groups.pets" in line for line in told)
    assert any("rules/en_pets.yaml" in line and "a second one" in line for line in told)
    assert any("rules/de.yaml" in line and "@pets: no such group" in line for line in told)


def test_a_file_has_rules_or_groups() -> None:
    with pytest.raises(ValueError, match="rules or groups"):
        RulesFile.model_validate({"language": "en"})
