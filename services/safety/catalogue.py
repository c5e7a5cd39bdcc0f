"""The files of ``configs/safety/`` into what the service judges by, or all of their defects.

policy.yaml                   level and purpose to checks and outcomes
context.yaml                  signs of history and teaching
terms/<language>….yaml        what to look for, with examples
rules/<language>….yaml        words that mean something together
personal.yaml                 what tells real persons from those of stories
explanations/<language>.yaml  what a person is told
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from services.kit.catalogue import CatalogueError, Defect, parse_document, parse_folder
from services.safety.domain.confusables import CONFUSABLES_DIGEST
from services.safety.domain.explanations import Explanation, Explanations
from services.safety.domain.guesses import Guesser
from services.safety.domain.levels import LEVELS_BY_LABEL, Level
from services.safety.domain.matching import Mode, Term, starred
from services.safety.domain.normalize import fold_word
from services.safety.domain.reader import Reader
from services.safety.domain.rules import RuleBook
from services.safety.domain.safety import Safety
from services.safety.domain.spelling import LongTerm
from services.safety.domain.wordlist import Entry, Wordlist
from services.safety.image_policy_file import build_image_policy
from services.safety.list_facts import list_facts
from services.safety.personal_file import load_personal
from services.safety.policy_file import build_policy
from services.safety.rules_file import build_rules, check_rules
from services.safety.schema import (
    ContextFile,
    ExplanationsFile,
    ExplanationSpec,
    ExplanationSpecs,
    PolicyFile,
    RulesFile,
    TermsFile,
)
from services.safety.vocabulary_file import load_vocabulary

VERSION_CHARACTERS = 8
REQUIRED_LANGUAGES = ("de", "en")
# Languages of the lists in Latin letters; of other scripts no words are asked for.
VOCABULARIES = ("de", "en", "es", "fr")


def load_safety(folder: Path) -> Safety:
    """Read everything in the folder. Raises CatalogueError with every defect there is."""
    # What is made here stays: looking for garbage among it takes a third of the time.
    collects = gc.isenabled()
    gc.disable()
    try:
        return _load(folder)
    finally:
        if collects:
            gc.enable()


def _load(folder: Path) -> Safety:
    defects: list[Defect] = []
    policy_file = parse_document(folder / "policy.yaml", PolicyFile, defects)
    context = parse_document(folder / "context.yaml", ContextFile, defects)
    terms = _parse_part(folder / "terms", TermsFile, defects)
    rules = _parse_part(folder / "rules", RulesFile, defects)
    explanations = _parse_part(folder / "explanations", ExplanationsFile, defects)
    if policy_file is not None:
        policy = build_policy(policy_file, defects)
        _check_terms(terms, policy.categories, defects)
        check_rules(rules, policy.categories, defects)
        images = build_image_policy(policy_file.images, defects)
        instead = {
            (language, group): getattr(file.alternatives, group)
            for language, file in explanations.items()
            for group in ("kids", "default")
        }
        told = _explanations(explanations, instead, policy.categories, "", defects)
        told_of_images = _explanations(
            {language: file.images for language, file in explanations.items()},
            instead,
            images.categories,
            "images.",
            defects,
        )
    personal = load_personal(folder, defects)
    if defects or policy_file is None or context is None or personal is None:
        raise CatalogueError(defects)
    vocabulary = load_vocabulary(VOCABULARIES)
    entries = [entry for file in terms.values() for entry in _entries(file)]
    forms = frozenset(form for entry in entries for form in _forms(entry))
    allowed = [term for file in terms.values() for term in _allowed(file, forms)]
    # What else words are found by: other tables find other words.
    tables = (CONFUSABLES_DIGEST, vocabulary.version)
    wordlist = Wordlist(
        entries,
        allowed,
        [word for words in context.signals.values() for word in words],
        [word for words in context.against.values() for word in words],
        _digest(folder, ("context.yaml", "terms"), tables),
        vocabulary,
    )
    book = RuleBook(
        build_rules(rules, terms),
        allowed,
        _digest(folder, ("rules", "terms"), tables),
        vocabulary,
    )
    # Words of a language without a vocabulary would all look like slips.
    long_terms = (term for e in entries if e.language in vocabulary.languages for term in _long(e))
    reader = Reader(vocabulary, Guesser(long_terms, forms, vocabulary))
    version = _digest(folder, ("",), tables)
    lists = list_facts(folder, terms, rules)
    return Safety(
        policy, reader, wordlist, book, personal, told, images, told_of_images, version, lists
    )


F = TypeVar("F", TermsFile, RulesFile, ExplanationsFile)


def _parse_part(folder: Path, kind: type[F], defects: list[Defect]) -> Mapping[str, F]:
    """Return the files of a folder by their names: the language, or it and a topic (de_threats).

    What a person reads is one file a language.
    """
    found: list[Defect] = []
    files = parse_folder(folder, kind, found)
    for stem, file in files.items():
        parted = kind is not ExplanationsFile and stem.startswith(f"{file.language}_")
        if file.language != stem and not parted:
            found.append(Defect(f"{stem}.yaml", "language", f"{file.language}, not {stem}"))
    for language in REQUIRED_LANGUAGES:
        if language not in files and not found:
            found.append(Defect(f"{language}.yaml", "", "is missing"))
    for defect in found:
        # Three folders have files of the same name; a defect of the folder itself has its name.
        name = "" if defect.file == folder.name else defect.file
        defects.append(Defect(f"{folder.name}/{name}", defect.field, defect.reason))
    return files


def _digest(folder: Path, parts: Iterable[str], tables: Iterable[str] = ()) -> str:
    """Return 8 hex characters over the names and bytes of the files in these parts, and tables."""
    digest = hashlib.sha256("\0".join(tables).encode())
    for part in parts:
        base = folder / part
        for path in sorted(base.rglob("*") if base.is_dir() else [base]):
            if path.is_file():
                data = path.read_bytes()
                digest.update(f"{path.relative_to(folder)}\0{len(data)}\0".encode())
                digest.update(data)
    return digest.hexdigest()[:VERSION_CHARACTERS]


def _entries(file: TermsFile) -> Iterable[Entry]:
    inflections = frozenset(fold_word(suffix) for suffix in file.inflections)
    for group in file.groups:
        for spec in group.entries:
            yield Entry(
                file.language,
                group.category,
                spec.severity or group.severity,
                spec.mode or group.mode,
                tuple(spec.terms),
                inflections,
                tuple(spec.unless),
                tuple(file.prefixes),
            )


def _forms(entry: Entry) -> Iterable[str]:
    """Return the letters of every term of an entry, with every inflection, and of its words."""
    for term in entry.terms:
        yield from (fold_word(word) for word in term.split())
        letters = "".join(filter(str.isalnum, fold_word(term)))
        yield letters
        yield from (letters + suffix for suffix in entry.inflections)


def _long(entry: Entry) -> Iterable[LongTerm]:
    for term in entry.terms:
        words = term.split()
        compound = entry.mode is Mode.COMPOUND and len(words) == 1
        for word in words:
            yield LongTerm(fold_word(word), entry.inflections, compound)


def _allowed(file: TermsFile, forms: frozenset[str]) -> Iterable[Term]:
    inflections = frozenset(fold_word(suffix) for suffix in file.inflections)
    for word in file.allow:
        if word.endswith("*"):
            yield starred(word, 0)
        else:
            # "pen is" is innocent because its words are two; together they are listed.
            letters = "".join(filter(str.isalnum, fold_word(word)))
            contracted = "'" in word
            apart = (contracted or len(word.split()) > 1) and letters in forms
            text = word.replace("'", " ")
            for prefix in ("", *file.prefixes):
                yield Term(f"{prefix}{text}", 0, Mode.WORD, inflections, apart, contracted)


def _check_terms(
    files: Mapping[str, TermsFile], categories: Sequence[str], defects: list[Defect]
) -> None:
    seen_by_language: dict[str, set[str]] = {}
    for stem, file in files.items():
        where = f"terms/{stem}.yaml"
        seen = seen_by_language.setdefault(file.language, set())
        for g, group in enumerate(file.groups):
            if group.category not in categories:
                reason = f"unknown category {group.category}"
                defects.append(Defect(where, f"groups.{g}.category", reason))
            for e, entry in enumerate(group.entries):
                for term in entry.terms:
                    field = f"groups.{g}.entries.{e}.terms"
                    letters = "".join(filter(str.isalnum, fold_word(term)))
                    if not letters:
                        defects.append(Defect(where, field, "a term without letters"))
                    elif letters in seen:
                        defects.append(Defect(where, field, f"{term!r} is listed twice"))
                    seen.add(letters)
        for word in file.allow:
            if not any(map(str.isalnum, fold_word(word))):
                defects.append(Defect(where, "allow", "a word without letters"))


def _explanations(
    files: Mapping[str, ExplanationSpecs],
    alternatives: Mapping[tuple[str, str], Mapping[str, Sequence[str]]],
    categories: Sequence[str],
    prefix: str,
    defects: list[Defect],
) -> Explanations:
    by_language: dict[str, Mapping[tuple[Level, str], Explanation]] = {}
    for language, file in files.items():
        told: dict[tuple[Level, str], Explanation] = {}
        parts: dict[str, Mapping[str, ExplanationSpec]] = {
            "kids": file.kids,
            "youth": {**file.default, **file.youth},
            "adult": {**file.default, **file.adult},
            "research": {**file.default, **file.research},
        }
        for label, specs in parts.items():
            where = f"explanations/{language}.yaml", f"{prefix}{label}"
            for name in categories:
                spec = specs.get(name)
                if spec is None:
                    defects.append(Defect(*where, f"nothing for {name} at {label}"))
                    continue
                key = LEVELS_BY_LABEL[label], name
                instead = alternatives[language, "kids" if label == "kids" else "default"]
                if name not in instead:
                    reason = f"no alternative for {name} at {label}"
                    defects.append(Defect(where[0], "alternatives", reason))
                told[key] = Explanation(
                    spec.explanation, spec.suggestion, tuple(instead.get(name, ()))
                )
            for name in specs.keys() - set(categories):
                defects.append(Defect(*where, f"unknown category {name}"))
        by_language[language] = told
    return Explanations(by_language)
