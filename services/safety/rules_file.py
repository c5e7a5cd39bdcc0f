"""The files of ``configs/safety/rules/`` into rules: word groups resolved, or every defect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from services.kit.catalogue import Defect
from services.safety.domain.normalize import fold_word
from services.safety.domain.rules import Rule
from services.safety.schema import RulesFile, TermsFile

# Begins the name of a word group.
GROUP = "@"


def build_rules(files: Mapping[str, RulesFile], terms: Mapping[str, TermsFile]) -> list[Rule]:
    """Return all rules, in order of the files. They have passed `check_rules`.

    Inflections and prefixes are those of all lists of terms of the language.
    """
    groups = _groups(files)
    endings = {
        language: frozenset(
            fold_word(suffix)
            for file in terms.values()
            if file.language == language
            for suffix in file.inflections
        )
        for language in groups
    }
    before = {
        language: [
            prefix
            for file in terms.values()
            if file.language == language
            for prefix in file.prefixes
        ]
        for language in groups
    }
    return [
        Rule(
            f"{file.language}.{spec.name}",
            spec.category,
            spec.severity,
            spec.within,
            tuple(
                _prefixed(_words(group, groups[file.language]), before[file.language])
                for group in spec.all
            ),
            _prefixed(_words(spec.unless, groups[file.language]), before[file.language]),
            spec.ordered,
            endings[file.language],
        )
        for file in files.values()
        for spec in file.rules
    ]


def check_rules(
    files: Mapping[str, RulesFile], categories: Sequence[str], defects: list[Defect]
) -> None:
    """Append what is wrong with categories, names and word groups."""
    groups = _groups(files)
    named: set[tuple[str, str]] = set()
    grouped: set[tuple[str, str]] = set()
    for stem, file in files.items():
        where = f"rules/{stem}.yaml"
        for name, words in file.groups.items():
            if (file.language, name) in grouped:
                defects.append(Defect(where, f"groups.{name}", "a second one"))
            grouped.add((file.language, name))
            for word in words:
                if word.startswith(GROUP):
                    reason = f"{word}: a group of words has no other group in it"
                    defects.append(Defect(where, f"groups.{name}", reason))
        for number, rule in enumerate(file.rules):
            field = f"rules.{number}"
            if rule.category not in categories:
                reason = f"unknown category {rule.category}"
                defects.append(Defect(where, f"{field}.category", reason))
            if (file.language, rule.name) in named:
                defects.append(Defect(where, f"{field}.name", "a second one"))
            named.add((file.language, rule.name))
            for word in (word for words in (*rule.all, rule.unless) for word in words):
                if word.startswith(GROUP) and word[1:] not in groups[file.language]:
                    defects.append(Defect(where, field, f"{word}: no such group of words"))


def _groups(files: Mapping[str, RulesFile]) -> dict[str, dict[str, list[str]]]:
    """Return the word groups of each language by their names."""
    found: dict[str, dict[str, list[str]]] = {}
    for file in files.values():
        found.setdefault(file.language, {}).update(file.groups)
    return found


def _words(words: Sequence[str], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_resolved(words, groups)))


def _resolved(words: Sequence[str], groups: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for word in words:
        if word.startswith(GROUP):
            yield from groups[word[1:]]
        else:
            yield word


def _prefixed(words: Sequence[str], prefixes: Sequence[str]) -> tuple[str, ...]:
    """Return words as they stand, and behind each of the prefixes. Parts stand anywhere."""
    return tuple(
        f"{prefix}{word}"
        for word in words
        for prefix in ("", *(() if word.startswith("*") else prefixes))
    )
