"""What a person is told, and in which language. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.safety.domain.levels import Level

FALLBACK_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why, and what to try instead."""

    explanation: str
    suggestion: str


@dataclass(frozen=True, slots=True)
class Explanations:
    """Every explanation by language, level and category; complete for every language in it."""

    by_language: Mapping[str, Mapping[tuple[Level, str], Explanation]]

    def language_for(self, tag: str) -> str:
        """Return the language explanations will be in for somebody who reads `tag` (BCP 47)."""
        primary = tag.split("-", 1)[0].lower()
        return primary if primary in self.by_language else FALLBACK_LANGUAGE

    def of(self, language: str, level: Level, category: str) -> Explanation:
        """Return the explanation in a language that `language_for` gave."""
        return self.by_language[language][level, category]
