"""How large the lists of each language are, and which version of them is in force."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from services.safety.domain.safety import ListFacts
from services.safety.schema import RulesFile, TermsFile

VERSION_CHARACTERS = 8


def list_facts(
    folder: Path, terms: Mapping[str, TermsFile], rules: Mapping[str, RulesFile]
) -> tuple[ListFacts, ...]:
    """Return the facts by language, sorted. `folder` is that of the files of safety."""
    return tuple(
        ListFacts(
            language,
            sum(
                len(entry.terms)
                for file in (terms.get(language),)
                if file is not None
                for group in file.groups
                for entry in group.entries
            ),
            len(rules[language].rules) if language in rules else 0,
            _version(folder, language),
        )
        for language in sorted({*terms, *rules})
    )


def _version(folder: Path, language: str) -> str:
    digest = hashlib.sha256()
    for part in ("terms", "rules"):
        for path in sorted((folder / part).glob(f"{language}.*")):
            data = path.read_bytes()
            digest.update(f"{part}/{path.name}\0{len(data)}\0".encode())
            digest.update(data)
    return digest.hexdigest()[:VERSION_CHARACTERS]
