"""What a person is told, and in which language. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from services.safety.domain.levels import Level

FALLBACK_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why, what to try instead, and texts that could be typed instead, at least one."""

    explanation: str
    suggestion: str
    alternatives: tuple[str, ...]

    def alternative(self, text: str) -> str:
        """Return the one for somebody who typed a text: for the same text always the same."""
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        return self.alternatives[digest[0] % len(self.alternatives)]


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
