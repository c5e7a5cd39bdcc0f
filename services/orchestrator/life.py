"""The life of one run in one process: it is driven, and made final, parked, handed over or lost."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from services.kit.clock import Clock
from services.kit.errors import ArtlabError, DataLoss, FailedPrecondition, NotFound
from services.kit.log import facts
from services.orchestrator.claims import ClaimLost
from services.orchestrator.domain.run import FinalState, RunError
from services.orchestrator.input_images import InputImages
from services.orchestrator.patience import recorder_may_recover
from services.orchestrator.run_in_work import Parked

log = logging.getLogger(__name__)

# The recorder ends a run by force this long after we should have.
RECORDER_MARGIN_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0


class Left(Enum):
    """How a run stands when its life in this process is over; `Parked` is another way."""

    # Its end is recorded, by us or by somebody else.
    FINAL = "final"
    # It goes on elsewhere, or here again.
    OPEN = "open"
    # It is somebody else's: nothing more may be done about it.
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class _Ending:
    state: FinalState
    error: RunError | None


class Drives(Protocol):
    """What is lived: pipeline.Pipeline."""

    @property
    def stage(self) -> int:
        """Where the run stands, 1 to 4."""
        ...

    @property
    def input_images(self) -> InputImages:
        """The pictures it waits for."""
        ...

    async def drive(self) -> Parked | None:
        """Carry the run to its final state, or to where it waits for a person."""
        ...

    async def stop(self, state: FinalState, error: RunError | None) -> None:
        """End a run that does not go on."""
        ...

    def fault(self, error: ArtlabError) -> RunError:
        """What a fault means where the run stands now."""
        ...


class Life:
    """One run in work; `live` is to be the whole of its task."""

    def __init__(self, pipeline: Drives, clock: Clock, limit_seconds: float) -> None:
        self.ended = asyncio.Event()
        self._pipeline = pipeline
        self._clock = clock
        self._limit = limit_seconds
        self._task: asyncio.Task[object] | None = None
        # Why it does not go on; None while it does.
        self._stopped_as: _Ending | Left | None = None

    @property
    def input_images(self) -> InputImages:
        """The pictures it waits for."""
        return self._pipeline.input_images

    @property
    def is_left(self) -> bool:
        """Whether this process was told to leave the run, which goes on elsewhere."""
        return isinstance(self._stopped_as, Left)

    def own(self, task: asyncio.Task[object]) -> None:
        """Say which task lives it."""
        self._task = task

    def stop(self, state: FinalState, error: RunError | None) -> None:
        """End the run early, in the stage it stands in; nothing when it is being ended already."""
        self._stop(_Ending(state, error))

    def hand_over(self) -> None:
        """Leave the run as it is, for somebody else; one that is being ended is ended."""
        self._stop(Left.OPEN)

    def lose(self) -> None:
        """Leave the run at once, also one that is being ended: it is somebody else's."""
        if self._task is not None and self._stopped_as is not Left.LOST:
            self._stopped_as = Left.LOST
            self._task.cancel()

    async def live(self) -> Left | Parked:
        """Drive the run until it is final, parked, handed over or lost.

        Raises nothing but CancelledError when the process ends.
        """
        began = self._clock.monotonic()
        try:
            end = await self._drive()
            if isinstance(end, _Ending):
                # From now on it is being ended: a later wish must not cut that short.
                self._stopped_as = end
                end = await self._end(end, began + self._limit + RECORDER_MARGIN_SECONDS)
        except asyncio.CancelledError:
            if self._stopped_as is Left.LOST and self._task is not None:
                self._task.uncancel()
                return Left.LOST
            raise
        except BaseExceptionGroup as group:
            if not _tells_loss(group):
                raise
            return Left.LOST
        except ClaimLost:
            return Left.LOST
        finally:
            # Nobody may cancel what comes after.
            self._task = None
        return end

    def _stop(self, why: _Ending | Left) -> None:
        if self._stopped_as is None and self._task is not None:
            self._stopped_as = why
            self._task.cancel()

    async def _drive(self) -> _Ending | Left | Parked:
        try:
            async with asyncio.timeout(self._limit):
                return await self._pipeline.drive() or Left.FINAL
        except TimeoutError:
            message = f"took longer than {self._limit:g} s"
            return _failed(RunError("RUN_DEADLINE", message, self._pipeline.stage, True))
        except asyncio.CancelledError:
            if self._stopped_as is None or self._task is None:
                raise
            self._task.uncancel()
            if isinstance(self._stopped_as, Left):
                return self._stopped_as
            state, why = self._stopped_as.state, self._stopped_as.error
            return _Ending(state, why and replace(why, stage=self._pipeline.stage))
        except ArtlabError as error:
            log.warning("run cannot go on", extra=facts(reason=error.reason))
            return _failed(self._pipeline.fault(error))
        except Exception as error:
            log.error("run failed unexpectedly", exc_info=error)
            return _failed(RunError("INTERNAL", "internal error", self._pipeline.stage))

    async def _end(self, end: _Ending, until: float) -> Left:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._pipeline.stop(end.state, end.error)
                return Left.FINAL
            except ArtlabError as error:
                # Past its deadline the recorder ends the run itself.
                if _is_hopeless(error) or self._clock.monotonic() + pause > until:
                    log.error("end could not be recorded", extra=facts(reason=error.reason))
                    return Left.FINAL
                log.warning("end not recorded yet", extra=facts(reason=error.reason))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _failed(why: RunError) -> _Ending:
    return _Ending("failed", why)


def _tells_loss(group: BaseExceptionGroup[BaseException]) -> bool:
    return group.subgroup(ClaimLost) is not None


def _is_hopeless(error: ArtlabError) -> bool:
    # Deleted, damaged, or refused for what it is.
    if recorder_may_recover(error):
        return False
    return isinstance(error, NotFound | DataLoss | FailedPrecondition)
