"""What the safety service needs from whoever judges texts beyond the lists, and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.safety.domain.image_policy import Sighting
from services.safety.domain.levels import Level, MediaKind, Purpose
from services.safety.domain.normalize import Folded
from services.safety.domain.tokens import Letters
from services.safety.domain.verdict import Hit, ModelUsed

# The names of judges of texts in the policy.
BUILTIN = "builtin"
LANGUAGE_MODEL = "language_model"
JUDGES = (BUILTIN, LANGUAGE_MODEL)


@dataclass(frozen=True, slots=True)
class Question:
    """A text to judge.

    `folded` and `readings` are there for judges in this process. What the lists found is not:
    a model that sees the list's words agrees with the list. A judge elsewhere gets `text` only.
    """

    text: str
    folded: Folded
    readings: Sequence[Letters]
    level: Level
    purpose: Purpose
    kind: MediaKind | None


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge found, and who it was. No hits means that it looked and found nothing."""

    hits: tuple[Hit, ...]
    used: ModelUsed


class Judge(Protocol):
    """Judges a whole text. Categories are those of the policy.

    `name` is that of the policy, `version` goes into verdicts. `elsewhere` says that texts leave
    this process, `remote` that they reach a machine that is not one's own.
    """

    name: str
    version: str
    elsewhere: bool
    remote: bool

    async def judge(self, question: Question) -> Opinion:
        """Return an opinion; raise an ArtlabError when none could be formed, never guess.

        Raises Unavailable SAFETY_UNAVAILABLE when the judge is away, and nothing else then.
        """
        ...

    async def aclose(self) -> None:
        """Give everything back."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """One small picture to judge: at most 768 pixels a side, RGB, 8 bits, row by row."""

    width: int
    height: int
    rgb: bytes


@dataclass(frozen=True, slots=True)
class ImageOpinion:
    """What a judge sees in one picture, and who it was. Nothing seen means that it looked.

    `refused` are categories that the judge refuses for this level, whatever the scores.
    """

    sightings: tuple[Sighting, ...]
    used: ModelUsed
    refused: tuple[str, ...] = ()


class ImageJudge(Protocol):
    """Judges pictures. `name` is that of the policy, `version` goes into verdicts.

    `remote` says that pictures reach a machine that is not one's own.
    """

    name: str
    version: str
    remote: bool

    async def load(self) -> None:
        """Get ready, so that the first picture does not wait. Raises ArtlabError."""
        ...

    async def judge(self, look: Look, level: Level) -> ImageOpinion:
        """Return an opinion; raise an ArtlabError when none could be formed, never guess."""
        ...

    async def aclose(self) -> None:
        """Give everything back."""
        ...
