"""Media as the driver of one run may use it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from services.kit.ids import RunId
from services.orchestrator.claims import Claim, ClaimLost, Claims
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.domain.run import OutputCatalogue, PreparedImage, RenderUpdate
from services.orchestrator.ports import Media, MediaJob


class HeldMedia:
    """Implements ports.Media; stops no job before the recorder has said that the run is ours.

    A process that was frozen may find on its wake that calls failed, and would stop the job of
    whoever drives the run since.
    """

    def __init__(self, media: Media, claims: Claims, claim: Claim, epoch: int) -> None:
        self._media = media
        self._claims = claims
        self._claim = claim
        self._epoch = epoch

    async def catalogue(self) -> OutputCatalogue:
        """See ports.Media."""
        return await self._media.catalogue()

    def generate(self, job: MediaJob) -> AsyncGenerator[RenderUpdate, None]:
        """See ports.Media."""
        return self._media.generate(job)

    async def prepare_image(self, chunks: AsyncIterator[bytes]) -> PreparedImage:
        """See ports.Media."""
        return await self._media.prepare_image(chunks)

    async def cancel(self, run_id: RunId, output: PlannedOutput) -> None:
        """Stop the job of one output, if there is one. Raises ClaimLost."""
        lost = await self._claims.renew(self._claim, {run_id: self._epoch})
        if run_id in lost:
            raise ClaimLost(lost[run_id])
        await self._media.cancel(run_id, output)
