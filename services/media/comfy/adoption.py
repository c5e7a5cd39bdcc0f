"""Taking what an earlier attempt has made, perhaps too late, without beginning anything."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.kit.clock import Clock
from services.kit.errors import ArtlabError
from services.kit.log import facts
from services.media.comfy.history import parse_entry
from services.media.comfy.instance import Instance
from services.media.comfy.journal import Journal
from services.media.comfy.placement import Placement
from services.media.domain.workflow import Workflow
from services.media.ports import RenderJob

log = logging.getLogger(__name__)

# ComfyUI stops between nodes and steps only: what ends well nonetheless does so soon.
WAIT_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Adopted:
    """A finished prompt: where, and its history entry. `late`: its time was over."""

    instance: Instance
    prompt_id: str
    entry: Mapping[str, Any]
    attempt: int
    late: bool


class Adoption:
    """Looks for finished prompts of a job at every instance."""

    def __init__(self, journal: Journal, placement: Placement, clock: Clock) -> None:
        self._journal, self._placement, self._clock = journal, placement, clock

    async def find(self, workflow: Workflow, job: RenderJob) -> Adopted | None:
        """Return what was made whole; None when there is nothing, or not within 5 s.

        Raises Unavailable MEDIA_STATE_UNAVAILABLE.
        """
        known = await self._journal.get(str(job.upload))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                found = await self._wait(workflow, job)
        except TimeoutError:
            return None
        if found is None:
            return None
        instance, prompt_id, entry = found
        log.info("adopted", extra=facts(prompt_id=prompt_id, instance=instance.url))
        late = known is not None and self._clock.now().timestamp() > known.deadline_at
        return Adopted(instance, prompt_id, entry, known.attempt if known else 1, late)

    async def _wait(
        self, workflow: Workflow, job: RenderJob
    ) -> tuple[Instance, str, Mapping[str, Any]] | None:
        while True:
            try:
                found = await self._placement.find(workflow, job)
            except ArtlabError as error:
                # An instance that goes away while it is asked for its files.
                log.info("not adopted yet", extra=facts(why=error.reason))
            else:
                if found.at is not None and found.at[1].entry is not None:
                    instance, look = found.at
                    assert look.entry is not None
                    whole = parse_entry(look.entry).kind == "success"
                    return (instance, found.prompt_id, look.entry) if whole else None
                if found.at is None and found.all_asked:
                    return None
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
