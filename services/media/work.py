"""One job in work: what was asked, by whose claim, and who still waits for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.kit.errors import Cancelled
from services.kit.ids import UploadName
from services.media.claim import Claim
from services.media.domain.request import MediaRequest
from services.media.progress import ProgressBoard

Confirm = Callable[[UploadName, Claim], Awaitable[None]]


class Work:
    """One job; also a `services.media.ports.Standing`.

    Args:
        request: of who asked first.
        confirm: asks the recorder whose the run is; raises FailedPrecondition FENCED.
    """

    def __init__(self, request: MediaRequest, confirm: Confirm) -> None:
        self.request = request
        self.digest = request.digest()
        self.board = ProgressBoard()
        self.claim = Claim(request.epoch, self.board.fence)
        # How many wait for it.
        self.callers = 0
        # Somebody said that it is to be stopped.
        self.is_called_off = False
        self._confirm = confirm

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits for it."""
        return self.callers > 0

    @property
    def is_taken_over(self) -> bool:
        """See `Standing.is_taken_over`."""
        return self.claim.is_lost and not self.is_called_off

    async def confirm(self) -> None:
        """See `Standing.confirm`."""
        if not self.is_wanted:
            raise Cancelled("MEDIA_CANCELLED", "nobody waits for it any more")
        await self.look_at_claim()

    async def look_at_claim(self) -> None:
        """Ask whose the run is. Raises FailedPrecondition FENCED when it is another driver's."""
        if self.claim.epoch:
            await self._confirm(self.request.upload, self.claim)
