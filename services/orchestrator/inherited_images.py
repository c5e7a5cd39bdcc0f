"""The pictures of the run another one goes on from: read, to be looked at and recorded anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.kit.errors import FailedPrecondition
from services.kit.ids import RunId
from services.orchestrator.domain.run import PreparedImage, RecordedEntity
from services.orchestrator.run_in_work import RunInWork


@dataclass(frozen=True, slots=True)
class InheritedImages:
    """What the record of the parent holds, by sequence."""

    run: RunInWork
    parent: RunId
    entities: Mapping[int, RecordedEntity]

    async def read(self, sequence: int) -> tuple[str, PreparedImage]:
        """Return the digest of what was once sent, in hex, and the picture made of it.

        Raises FailedPrecondition PARENT_INCOMPLETE when it is gone.
        """
        known = self.entities.get(sequence)
        if known is None or known.erased:
            raise FailedPrecondition("PARENT_INCOMPLETE", "a picture of the run is gone")
        recorder = self.run.services.recorder

        async def read() -> bytes:
            return b"".join([chunk async for chunk in recorder.read(self.parent, sequence)])

        data = await self.run.steady(read)
        width, height = (known.metadata.get(side, "") for side in ("width", "height"))
        image = PreparedImage(
            known.media_type,
            int(width) if width.isdecimal() else 0,
            int(height) if height.isdecimal() else 0,
            data,
        )
        return known.metadata.get("source_sha256", ""), image


async def pictures_of(run: RunInWork, parent: RunId) -> InheritedImages:
    """Look into the parent's record."""
    recorded = await run.steady(lambda: run.services.recorder.get_run(parent))
    return InheritedImages(run, parent, {one.sequence: one for one in recorded.entities})
