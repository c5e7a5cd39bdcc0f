"""The corpus: sentences with what is claimed of them, in a development and a frozen test part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from services.kit.catalogue import CatalogueError, Defect, parse_document, parse_folder
from services.safety.domain.levels import LEVELS_BY_LABEL, Level, Purpose
from services.safety.evaluation.corpus_schema import (
    PURPOSES,
    EvasionsFile,
    FrozenFile,
    SentencesFile,
)

FROZEN = "frozen.yaml"
EVASIONS = "evasions"


class Part(StrEnum):
    """One may be looked at, the other is what counts."""

    DEVELOPMENT = "development"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Claim:
    """From where to where a text must be refused, and from where it must be allowed."""

    category: str = ""
    refused_up_to: Level | None = None
    allowed_from: Level | None = Level.KIDS

    def refused(self, level: Level) -> bool | None:
        """Whether a text must be refused at the level; None where that is left open."""
        if self.refused_up_to is not None and level <= self.refused_up_to:
            return True
        if self.allowed_from is not None and level >= self.allowed_from:
            return False
        return None


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the corpus. `kind` is its class: harmless, near, provocative, forbidden."""

    part: Part
    text: str
    language: str
    kind: str
    claim: Claim
    topic: str = ""
    purposes: tuple[Purpose, ...] = PURPOSES


@dataclass(frozen=True, slots=True)
class Evasion:
    """A sentence that hides something: `word` is still to be hidden, or `way` says how it is."""

    part: Part
    text: str
    language: str
    claim: Claim
    word: str = ""
    way: str = ""


@dataclass(frozen=True, slots=True)
class Corpus:
    """One part, or both. `digest` is the SHA-256 over its files, 64 hex characters."""

    sentences: tuple[Sentence, ...]
    evasions: tuple[Evasion, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Frozen:
    """The version of the test part in force, and whether its files are still those."""

    version: int
    sha256: str
    intact: bool


def load_corpus(folder: Path, parts: Iterable[Part], categories: Sequence[str]) -> Corpus:
    """Return the sentences of the parts.

    `folder` is that of the corpus, `categories` are those of the policy. Raises CatalogueError
    with every defect, by file within the folder: broken files, unknown categories, a sentence that
    stands twice.
    """
    defects: list[Defect] = []
    sentences: list[Sentence] = []
    evasions: list[Evasion] = []
    digest = hashlib.sha256()
    for part in parts:
        with _placed(f"{part}", defects) as found:
            sentences += _sentences(folder / part, part, found)
        with _placed(f"{part}/{EVASIONS}", defects) as found:
            evasions += _evasions(folder / part / EVASIONS, part, found)
        digest.update(_digest(folder / part).encode())
    known = {"", *categories}
    seen: set[str] = set()
    every: list[Sentence | Evasion] = [*sentences, *evasions]
    for one in every:
        if one.claim.category not in known:
            defects.append(Defect(folder.name, one.text, f"unknown category {one.claim.category}"))
        key = " ".join(one.text.casefold().split())
        if key in seen:
            defects.append(Defect(folder.name, one.text, "stands twice in the corpus"))
        seen.add(key)
    if defects:
        raise CatalogueError(defects)
    return Corpus(tuple(sentences), tuple(evasions), digest.hexdigest())


def read_frozen(folder: Path) -> Frozen:
    """Return the version of the test part in force. Raises CatalogueError."""
    defects: list[Defect] = []
    file = parse_document(folder / FROZEN, FrozenFile, defects)
    if file is None:
        raise CatalogueError(defects)
    last = file.versions[-1]
    return Frozen(last.version, last.sha256, _digest(folder / Part.TEST) == last.sha256)


@contextmanager
def _placed(place: str, defects: list[Defect]) -> Iterator[list[Defect]]:
    """Collect the defects of a folder, which names its files only, and add where they are."""
    found: list[Defect] = []
    yield found
    for one in found:
        # The folder itself, when it is missing.
        file = place if Path(place).name == one.file else f"{place}/{one.file}"
        defects.append(replace(one, file=file))


def _sentences(folder: Path, part: Part, defects: list[Defect]) -> Iterator[Sentence]:
    for file in parse_folder(folder, SentencesFile, defects).values():
        for group in file.groups:
            claim = Claim(group.category or "", None, Level.KIDS)
            if group.refused_up_to is not None:
                claim = Claim(claim.category, LEVELS_BY_LABEL[group.refused_up_to], None)
            if group.allowed_from is not None:
                claim = Claim(claim.category, None, LEVELS_BY_LABEL[group.allowed_from])
            topic = group.topic or group.category or ""
            for text in group.sentences:
                yield Sentence(
                    part, text, file.language, file.class_, claim, topic, tuple(group.purposes)
                )


def _evasions(folder: Path, part: Part, defects: list[Defect]) -> Iterator[Evasion]:
    for file in parse_folder(folder, EvasionsFile, defects).values():
        for hidden in file.hidden:
            claim = Claim(hidden.category, LEVELS_BY_LABEL[hidden.refused_up_to], None)
            yield Evasion(part, hidden.text, file.language, claim, word=hidden.word)
        for written in file.written:
            claim = Claim(written.category, LEVELS_BY_LABEL[written.refused_up_to], None)
            yield Evasion(part, written.text, file.language, claim, way=written.way)


def _digest(folder: Path) -> str:
    """Over the names and bytes of a part's files, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.yaml")):
        data = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()
