"""What was found and what was decided. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from services.safety.domain.levels import ImagePurpose, Level, Purpose


@dataclass(frozen=True, slots=True)
class Hit:
    """Something of a category was found.

    Attributes:
        category: as in the policy.
        severity: 1 mild, 2 strong, 3 extreme.
        term: what was found, as it stands in the text; empty when a judge names no place.
        code: the judge's own name for it, where no category is meant by it.
    """

    category: str
    severity: int
    term: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class ModelUsed:
    """What judged, as it reported itself."""

    backend: str
    model: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of a check that was made. `rule` is empty when nothing is refused."""

    blocked: bool
    rule: str
    codes: tuple[str, ...]
    checks: tuple[str, ...]
    terms: tuple[str, ...]
    explanation: str
    suggestion: str
    language: str
    purpose: Purpose | ImagePurpose
    level: Level
    used: ModelUsed
    # A text that could be typed instead and passes at this level; empty when nothing is refused.
    alternative: str = ""
