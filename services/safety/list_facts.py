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
    languages = {file.language for file in terms.values()}
    languages |= {file.language for file in rules.values()}
    return tuple(
        ListFacts(
            language,
            sum(
                len(entry.terms)
                for file in terms.values()
                if file.language == language
                for group in file.groups
                for entry in group.entries
            ),
            sum(len(file.rules) for file in rules.values() if file.language == language),
            _version(folder, language),
        )
        for language in sorted(languages)
    )


def _version(folder: Path, language: str) -> str:
    digest = hashlib.sha256()
    for part in ("terms", "rules"):
        files = (folder / part).iterdir()
        for path in sorted(one for one in files if one.stem.split("_")[0] == language):
            data = path.read_bytes()
            digest.update(f"{part}/{path.name}\0{len(data)}\0".encode())
            digest.update(data)
    return digest.hexdigest()[:VERSION_CHARACTERS]
