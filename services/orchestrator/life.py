"""The life of one run: it is driven, perhaps stopped, and made final whatever happens."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from services.kit.clock import Clock
from services.kit.errors import ArtlabError, DataLoss, FailedPrecondition, NotFound
from services.kit.log import facts
from services.orchestrator.domain.run import FinalState, RunError
from services.orchestrator.input_images import InputImages
from services.orchestrator.patience import recorder_may_recover
from services.orchestrator.pipeline import Pipeline

log = logging.getLogger(__name__)

# The recorder ends a run by force this long after we should have.
RECORDER_MARGIN_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0

End = tuple[FinalState, RunError | None]


class Life:
    """One run in work; `live` is to be the whole of its task."""

    def __init__(self, pipeline: Pipeline, clock: Clock, limit_seconds: float) -> None:
        self.ended = asyncio.Event()
        self._pipeline = pipeline
        self._clock = clock
        self._limit = limit_seconds
        self._task: asyncio.Task[None] | None = None
        # Why it does not go on; None while it does.
        self._stopped_as: End | None = None

    @property
    def input_images(self) -> InputImages:
        """The pictures it waits for."""
        return self._pipeline.input_images

    def own(self, task: asyncio.Task[None]) -> None:
        """Say which task lives it."""
        self._task = task

    def stop(self, state: FinalState, error: RunError | None) -> None:
        """End the run early, in the stage it stands in; nothing when it is being ended already."""
        if self._stopped_as is None and self._task is not None:
            self._stopped_as = (state, error)
            self._task.cancel()

    async def live(self) -> None:
        """Drive the run to its end. Raises nothing but CancelledError when the process ends."""
        began = self._clock.monotonic()
        end = await self._drive()
        if end is not None:
            # From now on it is being ended: a later wish must not cut that short.
            self._stopped_as = end
            await self._end(end, began + self._limit + RECORDER_MARGIN_SECONDS)

    async def _drive(self) -> End | None:
        try:
            async with asyncio.timeout(self._limit):
                await self._pipeline.drive()
            return None
        except TimeoutError:
            message = f"took longer than {self._limit:g} s"
            return "failed", RunError("RUN_DEADLINE", message, self._pipeline.stage, True)
        except asyncio.CancelledError:
            if self._stopped_as is None or self._task is None:
                raise
            self._task.uncancel()
            state, why = self._stopped_as
            return state, why and replace(why, stage=self._pipeline.stage)
        except ArtlabError as error:
            log.warning("run cannot go on", extra=facts(reason=error.reason))
            return "failed", self._pipeline.fault(error)
        except Exception as error:
            log.error("run failed unexpectedly", exc_info=error)
            return "failed", RunError("INTERNAL", "internal error", self._pipeline.stage)

    async def _end(self, end: End, until: float) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._pipeline.stop(*end)
                return
            except ArtlabError as error:
                # Past its deadline the recorder ends the run itself.
                if _is_hopeless(error) or self._clock.monotonic() + pause > until:
                    log.error("end could not be recorded", extra=facts(reason=error.reason))
                    return
                log.warning("end not recorded yet", extra=facts(reason=error.reason))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _is_hopeless(error: ArtlabError) -> bool:
    # Deleted, damaged, or refused for what it is.
    if recorder_may_recover(error):
        return False
    return isinstance(error, NotFound | DataLoss | FailedPrecondition)
