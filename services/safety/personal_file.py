"""``personal.yaml`` into what tells real persons and places from others."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import Field

from services.kit.catalogue import Defect, parse_document
from services.safety.domain.personal import PATTERNS, PersonalData
from services.safety.domain.personal.people import People
from services.safety.domain.personal.places import Places
from services.safety.schema import Language, SafetyFile

FILE = "personal.yaml"
VERSION_CHARACTERS = 8

# As it stands in a text in small letters, with single spaces.
_Words = Annotated[str, Field(min_length=2, max_length=60, pattern=r"^\S+( \S+)*$")]


class PersonalFile(SafetyFile):
    """``personal.yaml``."""

    introductions: Annotated[dict[Language, list[_Words]], Field(min_length=1)]
    relations: Annotated[dict[Language, list[_Words]], Field(min_length=1)]
    titles: Annotated[list[_Words], Field(min_length=1)]
    given_names: Annotated[list[_Words], Field(min_length=1)]
    no_family_names: list[Annotated[str, Field(min_length=1, max_length=60)]]
    known_persons: list[_Words]
    known_schools: list[_Words]
    no_school_names: list[Annotated[str, Field(min_length=1, max_length=60)]]
    famous_addresses: list[_Words]


def load_personal(folder: Path, defects: list[Defect]) -> PersonalData | None:
    """Return what is looked for; what is wrong with the file is added to the defects."""
    file = parse_document(folder / FILE, PersonalFile, defects)
    if file is None:
        return None
    before = len(defects)
    for name in ("titles", "given_names", "known_persons", "known_schools", "famous_addresses"):
        for word in getattr(file, name):
            if word != word.lower():
                defects.append(Defect(FILE, name, f"{word!r} is not in lower case"))
    if len(defects) > before:
        return None
    digest = hashlib.sha256(file.model_dump_json().encode()).hexdigest()[:VERSION_CHARACTERS]
    people = People(
        introductions=[word for words in file.introductions.values() for word in words],
        relations=[word for words in file.relations.values() for word in words],
        titles=file.titles,
        given_names=file.given_names,
        no_family_names=file.no_family_names,
        known_to_all=file.known_persons,
        known_schools=file.known_schools,
        no_school_names=file.no_school_names,
    )
    return PersonalData(people, Places(frozenset(file.famous_addresses)), f"{PATTERNS}.{digest}")
