"""Jobs that were handed in before: looked for where the journal says, before anything is sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.kit.clock import Clock
from services.kit.errors import Unavailable
from services.kit.log import facts
from services.media.comfy.course import look_twice
from services.media.comfy.instance import Instance, Look
from services.media.comfy.journal import HandIn, Journal
from services.media.domain.workflow import Workflow
from services.media.ports import RenderJob

log = logging.getLogger(__name__)

IsUsable = Callable[[Instance, Workflow, Mapping[str, Any]], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Past:
    """What is left of an earlier hand-in; `place` is where the job still is, with its prompt id.

    `attempt` counts the hand-ins, this one or the next included. `late`: its time was over.
    """

    attempt: int = 1
    place: tuple[Instance, Look, str] | None = None
    late: bool = False


class Resumption:
    """Finds jobs again after a restart of this service, or of the one whose call was cut."""

    def __init__(
        self, instances: Sequence[Instance], journal: Journal, is_usable: IsUsable, clock: Clock
    ) -> None:
        self._instances = {instance.url: instance for instance in instances}
        self._journal = journal
        self._is_usable = is_usable
        self._clock = clock

    async def began(self, upload: str) -> bool:
        """Whether it was handed in to an instance that is still ours, and not stopped."""
        return await self.handed_in(upload) is not None

    async def handed_in(self, upload: str) -> tuple[Instance, HandIn] | None:
        """Where it was handed in, if that is still ours and it was not stopped there."""
        found = await self._journal.get(upload)
        if found is None or found.stopped or found.url not in self._instances:
            return None
        return self._instances[found.url], found

    async def recall(self, workflow: Workflow, job: RenderJob) -> Past:
        """Find out what became of the job.

        An instance that is away is waited for: the job may be at work there, or done. It counts as
        lost when nobody listens there any more, or after two looks that do not find it, because
        what was sent just before a crash may arrive late.
        """
        found = await self._journal.get(str(job.upload))
        if found is None:
            return Past()
        late = self._clock.now().timestamp() > found.deadline_at
        instance = self._instances.get(found.url)
        if instance is None:
            log.info("instance is gone", extra=facts(instance=found.url, upload=found.upload))
            return Past(found.attempt + 1)
        try:
            look = (
                await instance.look(found.prompt_id)
                if found.stopped
                else await look_twice(instance, found.prompt_id, self._clock)
            )
        except Unavailable as error:
            log.info("handed in and lost", extra=facts(upload=found.upload, why=error.reason))
            return Past(1 if found.stopped else found.attempt + 1)
        if look.state == "unknown":
            return Past(1 if found.stopped else found.attempt + 1)
        if look.entry is not None and not await self._has_file(instance, workflow, look.entry):
            # It failed, or its file is gone: what is made now is made anew.
            return Past()
        log.info("found again", extra=facts(prompt_id=found.prompt_id, state=look.state))
        return Past(found.attempt, (instance, look, found.prompt_id), late)

    async def _has_file(
        self, instance: Instance, workflow: Workflow, entry: Mapping[str, Any]
    ) -> bool:
        while True:
            try:
                return await self._is_usable(instance, workflow, entry)
            except Unavailable as error:
                log.info("file not seen yet", extra=facts(why=error.message))
            await asyncio.sleep(1.0)
