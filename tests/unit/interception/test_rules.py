from __future__ import annotations

import pytest

from tests.unit.interception.writing import passed, written

TEXT = "Ein roter Hund trägt einen blauen Hut im Regen."


@pytest.mark.parametrize(
    ("rules", "name", "expected"),
    [
        ("nur Substantive", "only_nouns", "Hund Hut Regen"),
        ("Bitte only nouns!", "only_nouns", "Hund Hut Regen"),
        ("rückwärts", "backwards", "Regen. im Hut blauen einen trägt Hund roter Ein"),
        ("Buchstaben rückwärts", "letters_backwards", TEXT[::-1]),
        ("ohne Farben", "without_colours", "Ein Hund trägt einen Hut im Regen."),
        ("without colours", "without_colours", "Ein Hund trägt einen Hut im Regen."),
        ("ohne Adjektive", "without_adjectives", "Ein Hund trägt einen Hut im Regen."),
        ("ohne den Buchstaben u", "without_letter", "Ein roter trägt einen im Regen."),
        ("nur 3 Wörter", "first_words", "Ein roter Hund"),
        ("ersetze Hund durch Kamel", "replace", TEXT.replace("Hund", "Kamel")),
        ("als Frage", "question", TEXT[:-1] + "?"),
        ("alles in Großbuchstaben", "upper_case", TEXT.upper()),
        ("alphabetisch", "alphabetical", "blauen Ein einen Hund Hut im Regen roter trägt"),
        ("jedes Wort in eine Zeile", "one_word_per_line", TEXT.replace(" ", "\n")),
    ],
)
def test_a_rule_is_recognised_and_carried_out(rules: str, name: str, expected: str) -> None:
    made = passed("user_defined", TEXT, rules=rules)
    assert made.text == expected
    assert made.parameters["applied_rules"] == name


def test_rules_are_carried_out_in_the_order_they_are_written() -> None:
    one = written("user_defined", TEXT, rules="ersetze Hund durch Wal, dann nur Substantive")
    other = written("user_defined", TEXT, rules="nur Substantive; ersetze Hund durch Wal")
    assert (one, other) == ("Wal Hut Regen", "Wal Hut Regen")
    made = passed("user_defined", TEXT, rules="rückwärts, dann nur 2 Wörter")
    assert made.text == "Regen. im"
    assert made.parameters["applied_rules"] == "backwards,first_words"


def test_several_letters_can_be_forbidden() -> None:
    made = written("user_defined", TEXT, rules="ohne den Buchstaben u und ohne den Buchstaben o")
    assert made == "Ein trägt einen im Regen."


def test_a_rule_that_would_leave_nothing_is_skipped_and_not_claimed() -> None:
    made = passed("user_defined", "Ei", rules="ohne den Buchstaben e")
    assert made.text.startswith("Ei")
    assert made.parameters["applied_rules"] == "none"


def test_unknown_rules_stand_beside_the_text_and_nothing_is_pretended() -> None:
    made = passed("user_defined", "Ein Hund im Regen", rules="Mach alles aus Papier und Schatten")
    assert made.text == "Ein Hund im Regen.\nDie Regel dazu: Papier, Schatten."
    assert made.parameters["applied_rules"] == "none"


@pytest.mark.parametrize("rules", ["{0.__class__}", "\\1", "🌸", "((((", "ersetze ( durch )"])
def test_strange_rules_do_no_harm(rules: str) -> None:
    assert "Ein Hund" in written("user_defined", "Ein Hund", rules=rules)
