"""Claims: who drives a run, and under which epoch. Pure.

An epoch is a number that only grows: what is written under an older one is refused. It is never
handed out twice, also not after a crash (docs/adr/0019).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.kit.errors import FailedPrecondition, InvalidArgument

MIN_TTL_MS = 500
MAX_TTL_MS = 60_000
MAX_EPOCH = 2**63 - 1

_OWNER = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who wants to drive a run, and for how long without being heard of."""

    owner: str
    ttl_ms: int

    @property
    def ttl_seconds(self) -> float:
        """How long its claims hold without being renewed."""
        return self.ttl_ms / 1000


@dataclass(frozen=True, slots=True)
class Claim:
    """What is kept of a claim. `by` is None once it was given back, perhaps for later."""

    epoch: int
    by: Claimant | None
    not_before: datetime | None = None

    def given_back(self, not_before: datetime | None) -> Claim:
        """The claim of nobody, under the same epoch."""
        return replace(self, by=None, not_before=not_before)


class Lost(StrEnum):
    """Why a claim does not hold any more."""

    FENCED = "FENCED"
    RUN_FINAL = "RUN_FINAL"
    RUN_NOT_FOUND = "RUN_NOT_FOUND"


def parse_owner(text: str, field: str) -> str:
    """Return the name of a driver. Raises InvalidArgument INVALID_OWNER."""
    if _OWNER.fullmatch(text) is None:
        raise InvalidArgument("INVALID_OWNER", "expected ^[a-z0-9-]{1,64}$", field=field)
    return text


def fenced() -> FailedPrecondition:
    """What is said to a driver whose run is another's now."""
    return FailedPrecondition("FENCED", "another driver has claimed the run", field="epoch")
