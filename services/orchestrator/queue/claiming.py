"""Getting runs from the recorder: what both queues do once they know of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from services.kit.errors import FailedPrecondition, NotFound
from services.kit.ids import RunId
from services.orchestrator.claims import Claim, Claimable, Claims
from services.orchestrator.queue.fair import in_turn
from services.orchestrator.queue.heart import Heart, HeldRun
from services.orchestrator.queue.view import QueueView

# Others may be trying for the same ones at this moment.
MOST_BEFORE = 3


@dataclass(frozen=True, slots=True)
class Refused:
    """Somebody else has it, or it is to rest; ask again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Over:
    """It ended, or was deleted."""


class Claimer:
    """Claims runs for this process, and has the heart hold them."""

    def __init__(self, claims: Claims, claim: Claim, heart: Heart, view: QueueView) -> None:
        self._claims = claims
        self._claim = claim
        self._heart = heart
        self._view = view

    async def claim(self, run_id: RunId, user_id: str) -> HeldRun | Refused | Over:
        """Ask for one run. Raises ArtlabError when the recorder cannot tell."""
        if self._heart.holds(run_id):
            # Ours already; asking again would be answered with the same epoch.
            return Refused(self._claim.ttl_seconds)
        try:
            answer = await self._claims.claim(run_id, self._claim)
        except (FailedPrecondition, NotFound):
            self._view.gone(run_id)
            return Over()
        if not answer.epoch:
            self._view.gone(run_id)
            return Refused(answer.retry_after_seconds)
        self._view.taken(run_id, user_id)
        return self._heart.hold(run_id, answer.epoch)

    async def next_in_line(self, max_age_seconds: float) -> HeldRun | None:
        """Claim the run whose turn it is, if any waits. Raises ArtlabError."""
        for waiting in in_turn(await self._view.look(max_age_seconds)):
            run = await self.claim(waiting.run_id, waiting.user_id)
            if isinstance(run, HeldRun):
                return run
        return None

    async def before(self, run_id: RunId, max_age_seconds: float) -> Sequence[Claimable]:
        """Return some whose turn is before this run's. Raises ArtlabError."""
        seen = await self._view.look(max_age_seconds)
        line = (run for run in in_turn(seen) if not self._heart.holds(run.run_id))
        before = takewhile(lambda run: run.run_id != run_id, line)
        return tuple(islice(before, MOST_BEFORE))
