"""Input images that come to a process which does not drive their run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from services.kit.clock import Clock
from services.kit.errors import Unavailable
from services.kit.ids import RunId
from services.orchestrator.hints import HintSender
from services.orchestrator.image_identity import digest_of, not_expected, require_same, source_of
from services.orchestrator.input_images import InputImages
from services.orchestrator.loading import Loaded, Unfinished, load
from services.orchestrator.run_in_work import RunInWork, Services

NOBODY = 0


async def take_elsewhere(
    services: Services,
    clock: Clock,
    places: asyncio.Semaphore,
    run_id: RunId,
    index: int,
    chunks: AsyncIterator[bytes],
) -> None:
    """Check and record a picture; whoever drives the run finds it in the record.

    Raises NotFound for an unknown run, and what `InputImages.take` raises.
    """
    run = await services.recorder.get_run(run_id)
    known = source_of(run.entities, index)
    if known is not None:
        require_same(known, await digest_of(chunks))
        return
    found = await load(services.recorder, run_id, NOBODY, clock.now())
    if isinstance(found, Unfinished):
        raise Unavailable("RUN_NOT_STARTED", "the run is being started", retry_after_seconds=1.0)
    if not isinstance(found, Loaded):
        raise not_expected()
    hints = HintSender(run_id, services.recorder)
    work = RunInWork(found.plan, services, hints, clock, found.recorded, NOBODY)
    await InputImages(work, places).take(index, chunks)
