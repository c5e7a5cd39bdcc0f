"""Who drives which run, as the recorder decides it: the port, and what it speaks of.

Every method raises an ArtlabError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.kit.ids import RunId

# What a run's creator gets; whoever gets a higher one may find work of others.
CREATORS_EPOCH = 1


class ClaimLost(BaseException):
    """Somebody else drives the run, or it is over: stop at once, write nothing, tell nobody.

    Like CancelledError it is nothing that code which handles faults may take for one: who drives
    the run now must not find the media jobs stopped or the outputs ended by who did before.
    """


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants to drive runs.

    Attributes:
        owner: one process, ^[a-z0-9-]{1,64}$; another name after each start.
        ttl_seconds: how long a claim holds without being renewed.
    """

    owner: str
    ttl_seconds: float


@dataclass(frozen=True, slots=True)
class ClaimAnswer:
    """Whether the run is ours: the epoch from 1, or 0 and when to ask again at the latest."""

    epoch: int
    retry_after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Claimable:
    """An open run that nobody has; `begun` when it goes on rather than begins."""

    run_id: RunId
    user_id: str
    created: datetime
    begun: bool = False


@dataclass(frozen=True, slots=True)
class ClaimableRuns:
    """Open runs nobody has, oldest first, how many there are in all, and runs in work by person."""

    runs: tuple[Claimable, ...]
    total: int
    loads: Mapping[str, int]


class Claims(Protocol):
    """Who drives which run, as the recorder decides it."""

    async def claim(self, run_id: RunId, claim: Claim, *, force: bool = False) -> ClaimAnswer:
        """Ask for a run; `force` takes it from who has it.

        Raises FailedPrecondition RUN_FINAL, NotFound.
        """
        ...

    async def renew(self, claim: Claim, held: Mapping[RunId, int]) -> Mapping[RunId, str]:
        """Hold runs, by their epochs, for another ttl; return those that are lost, and why."""
        ...

    async def release(
        self, run_id: RunId, owner: str, epoch: int, delay_seconds: float = 0.0
    ) -> None:
        """Give a run back, to be claimed after the delay. A claim lost already is no error."""
        ...

    async def claimable(self, limit: int) -> ClaimableRuns:
        """Return at most `limit` (1 to 1000) of the runs nobody has."""
        ...
