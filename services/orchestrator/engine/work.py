"""What everything that carries out one run shares. Pure."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from services.kit.clock import Clock
from services.kit.errors import ArtlabError
from services.kit.ids import RunId
from services.orchestrator.engine.kinds import Factories
from services.orchestrator.engine.memory import Memory
from services.orchestrator.engine.observer import Observer
from services.orchestrator.engine.step import JsonObject, ServiceRegistry


@dataclass(frozen=True, slots=True)
class Work:
    """One run: as of `Executor`, and what it was given."""

    run_id: RunId
    factories: Factories
    services: ServiceRegistry
    memory: Memory
    observer: Observer
    clock: Clock
    randomness: random.Random
    outputs_at_once: int
    output_slots: asyncio.Semaphore | None
    fatal_reasons: frozenset[str]
    given: JsonObject
    plan: JsonObject

    def is_fatal(self, error: ArtlabError) -> bool:
        """Whether an error is the driver's affair rather than the step's."""
        return error.reason in self.fatal_reasons


async def end_tasks(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until all have ended, even when asked to hurry meanwhile."""
    for task in tasks:
        task.cancel()
    hurried = False
    while any(not task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            hurried = True
    for task in tasks:
        if not task.cancelled():
            # Looked at, so that nobody complains; what ended all this is being raised already.
            task.exception()
    if hurried:
        raise asyncio.CancelledError
