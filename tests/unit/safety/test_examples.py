"""Every term and every rule of the lists is shown by sentences; here they are walked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.safety.schema import EntrySpec, RulesFile, RuleSpec, TermsFile
from tests.unit.safety.support import FOLDER, read, safety

LANGUAGES = ("de", "en")


def entries() -> Iterator[tuple[int, EntrySpec]]:
    number = 0
    for path in sorted((FOLDER / "terms").iterdir()):
        file = TermsFile.model_validate(read(path))
        for group in file.groups:
            for entry in group.entries:
                yield number, entry
                number += 1


def rules() -> Iterator[tuple[str, RuleSpec]]:
    for path in sorted((FOLDER / "rules").iterdir()):
        file = RulesFile.model_validate(read(path))
        for rule in file.rules:
            yield f"{file.language}.{rule.name}", rule


ENTRIES = list(entries())
RULES = list(rules())


def entries_hit(text: str) -> frozenset[int]:
    return safety().wordlist.find_entries(*safety().reader.read(text))


def rules_met(text: str) -> set[str]:
    return {rule.name for rule, _ in safety().rules.met(*safety().reader.read(text))}


def test_the_numbers_of_this_test_are_those_of_the_lists() -> None:
    loaded = [list(entry.terms) for entry in safety().wordlist.entries]
    assert loaded == [entry.terms for _, entry in ENTRIES]


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_list_has_its_breadth(language: str) -> None:
    found = [e for e in safety().wordlist.entries if e.language == language]
    assert sum(len(entry.terms) for entry in found) >= 300
    categories = {entry.category for entry in found}
    assert categories == set(safety().policy.categories) - {"personal_data", "other_harm"}


@pytest.mark.parametrize(("number", "entry"), ENTRIES, ids=lambda v: str(getattr(v, "terms", v)))
def test_every_example_of_an_entry_is_true(number: int, entry: EntrySpec) -> None:
    for sentence in entry.hit:
        assert number in entries_hit(sentence), sentence
    for sentence in entry.miss:
        assert number not in entries_hit(sentence), sentence


@pytest.mark.parametrize(("number", "entry"), ENTRIES, ids=lambda v: str(getattr(v, "terms", v)))
def test_every_term_is_found_in_an_example_of_its_own(number: int, entry: EntrySpec) -> None:
    shown = " ".join(entry.hit).casefold()
    for term in entry.terms:
        words = term.casefold().replace("-", " ").split()
        # Inflected or hyphenated in the sentence, but there.
        assert all(word[: max(3, len(word) - 2)] in shown for word in words), term
        assert number in entries_hit(term), term


@pytest.mark.parametrize(("name", "rule"), RULES, ids=lambda v: v if isinstance(v, str) else "")
def test_every_example_of_a_rule_is_true(name: str, rule: RuleSpec) -> None:
    for sentence in rule.hit:
        assert name in rules_met(sentence), sentence
    for sentence in rule.miss:
        assert name not in rules_met(sentence), sentence


@pytest.mark.parametrize(
    "word",
    [
        *("HH", "88", "painting", "Spain", "grape", "therapist", "gemalt", "Assel", "Kassel"),
        *("Dickicht", "Analyse", "Sextant", "Cocktail", "Essex", "Scunthorpe", "Bombenstimmung"),
        *("Schießscharte", "Penistone", "Arsenal", "Pass", "Massage", "Klasse", "Bass", "Hasse"),
        *("classic", "assassin's", "Cumberland", "Dick und Doof", "Titanic", "Gunther", "begun"),
        *("Hitchcock", "Matterhorn", "Mississippi", "Passau", "Sussex", "Hanalei", "Fagott"),
        *("Mongolei", "Kruzifix", "Kreuzung", "Niger", "Schwanzfeder", "Puffer", "Mörtel"),
    ],
)
def test_innocent_words_that_hold_a_term_are_not_found(word: str) -> None:
    assert not entries_hit(word)
    assert not entries_hit(f"Das ist {word}, sagte er.")


@pytest.mark.parametrize(
    "word",
    ["Hakenkreuzfahne", "Hakenkreuze", "Hakenkreuzes", "Riesenhakenkreuz", "Anti-Hakenkreuz-Tag"],
)
def test_inflections_and_compounds_are_found(word: str) -> None:
    assert entries_hit(word)
