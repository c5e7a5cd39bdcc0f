"""Stopping an output wherever it is, whoever handed it in: this process, an earlier one, a copy.

The prompt ids follow from the upload's name, so the queue of each instance tells which are ours;
the journal is not needed, which another machine's copy would not have here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from services.kit.errors import ArtlabError
from services.kit.ids import UploadName
from services.kit.log import facts
from services.media.comfy.instance import Instance
from services.media.comfy.journal import Journal
from services.media.comfy.placement import MAX_REPEATS, prompt_id_of

log = logging.getLogger(__name__)

# For all instances together: they are asked side by side.
STOP_SECONDS = 2.0
# What was sent a moment ago may not stand in the queue yet.
LOOK_AGAIN_SECONDS = 0.25


class CallingOff:
    """Reaches exactly the prompts of an output, at every instance that answers."""

    def __init__(self, instances: Sequence[Instance], journal: Journal) -> None:
        self._instances, self._journal = instances, journal

    async def stop(self, uploads: Collection[UploadName]) -> bool:
        """Stop what waits or runs for any of these; whether ComfyUI says that it stopped one.

        What is over, or cannot be asked within 2 s, is not stopped.
        """
        prompts = {
            prompt_id_of(upload, repeat): upload
            for upload in uploads
            for repeat in range(MAX_REPEATS)
        }
        stopped = await asyncio.gather(*(self._at(one, prompts) for one in self._instances))
        return any(stopped)

    async def _at(self, instance: Instance, prompts: Mapping[str, UploadName]) -> bool:
        stopped = False
        try:
            async with asyncio.timeout(STOP_SECONDS):
                found = await _ours(instance, prompts)
                for prompt_id in found:
                    if await instance.cancel(prompt_id):
                        stopped = True
                        await self._write_down(prompts[prompt_id], prompt_id, instance)
        except (ArtlabError, TimeoutError) as error:
            why = getattr(error, "reason", "time over")
            log.warning("cancel failed", extra=facts(instance=instance.url, why=why))
        if stopped:
            log.info("stopped from here", extra=facts(instance=instance.url))
        return stopped

    async def _write_down(self, upload: UploadName, prompt_id: str, instance: Instance) -> None:
        known = await self._journal.get(str(upload))
        if known is not None and (known.prompt_id, known.url) == (prompt_id, instance.url):
            await self._journal.put(replace(known, stopped=True))


async def _ours(instance: Instance, prompts: Collection[str]) -> list[str]:
    """Those that wait or run, the waiting ones first: none of them begins meanwhile."""
    for again in (True, False):
        queue = await instance.queue()
        found = [one for one in (*queue.pending, *queue.running) if one in prompts]
        if found or not again:
            return found
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    return []
