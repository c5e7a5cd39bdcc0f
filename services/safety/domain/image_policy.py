"""What may be seen in pictures at which level, by what judges say they see. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.safety.domain.levels import Level


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something a judge sees in a picture.

    Attributes:
        judge: its name in the policy.
        label: what, in the judge's own word.
        score: how sure, or how strong; 0.0 to 1.0.
    """

    judge: str
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Limit:
    """From which score on a label of a judge is refused, and as what."""

    category: str
    score: float


@dataclass(frozen=True, slots=True)
class ImageRow:
    """What holds at one level.

    Attributes:
        required: judges without whom there is no verdict.
        limits: by judge and label; a label without one may be seen.
        keep_blocked: whether the bytes of what was refused may stay.
    """

    level: Level
    required: tuple[str, ...]
    limits: Mapping[tuple[str, str], Limit]
    keep_blocked: bool


@dataclass(frozen=True, slots=True)
class ImageDecision:
    """The category that refuses, empty if none does, all that were reached, and what stays."""

    category: str
    codes: tuple[str, ...]
    keep_blocked: bool


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """The whole table.

    Attributes:
        categories: in the order of verdicts and of deciding.
        check_levels: levels at which nothing is shown before it was checked.
        never_kept: categories whose bytes do not stay, whatever the level says.
    """

    categories: tuple[str, ...]
    check_levels: tuple[Level, ...]
    never_kept: frozenset[str]
    rows: Mapping[Level, ImageRow]

    def decide(
        self, level: Level, sightings: Iterable[Sighting], refused: Sequence[str] = ()
    ) -> ImageDecision:
        """Return the first category in the policy's order that reached its limit.

        Args:
            level: of the request.
            sightings: of all judges, in all pictures of the film.
            refused: categories that a judge refuses on its own account, whatever its scores.
        """
        row = self.rows[level]
        reached = set(refused)
        for sighting in sightings:
            limit = row.limits.get((sighting.judge, sighting.label))
            if limit is not None and sighting.score >= limit.score:
                reached.add(limit.category)
        codes = tuple(category for category in self.categories if category in reached)
        keep = row.keep_blocked and not self.never_kept.intersection(codes)
        return ImageDecision(codes[0] if codes else "", codes, keep)
