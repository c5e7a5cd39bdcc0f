"""Under whose claim on its run a job is recorded: the newest driver's that asked for it here.

Who drives a run has an epoch, and the recorder refuses what comes under an older one than it knows.
A job outlives its driver: the next one asks for the same upload under a higher epoch, and gets what
is in work. 0 is nobody's epoch and is never refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.kit.errors import ArtlabError, FailedPrecondition

FENCED = "FENCED"

T = TypeVar("T")


class Claim:
    """The claim one job works under; made in the event loop.

    Args:
        epoch: of who asked first.
        on_fence: hears each epoch up to which callers are refused from now on.
    """

    def __init__(self, epoch: int, on_fence: Callable[[int], None] = lambda epoch: None) -> None:
        self.epoch = epoch
        self._on_fence = on_fence
        # The highest one the recorder refused.
        self._refused = 0
        self._changed = asyncio.Event()

    @property
    def is_lost(self) -> bool:
        """Whether somebody else has the run, who has not asked here yet."""
        return 0 < self.epoch <= self._refused

    def check(self, epoch: int) -> None:
        """Raise FailedPrecondition FENCED for an epoch that is over."""
        if epoch and (epoch < self.epoch or epoch <= self._refused):
            raise fenced()

    def take_over(self, epoch: int) -> None:
        """Let a driver have the job. Raises FailedPrecondition FENCED as `check` does."""
        self.check(epoch)
        if epoch > self.epoch:
            before, self.epoch = self.epoch, epoch
            self._changed.set()
            self._changed = asyncio.Event()
            if before:
                self._on_fence(before)

    def lose(self, epoch: int) -> None:
        """The recorder refused this one."""
        self._refused = max(self._refused, epoch)
        self._on_fence(epoch)

    async def regained(self) -> None:
        """Wait until a driver asks whom the recorder has not refused; whoever waits has a time."""
        while self.is_lost:
            await self._changed.wait()

    async def under(self, call: Callable[[int], Awaitable[T]]) -> T:
        """Make a call of the recorder; anew when a newer driver asked meanwhile.

        Raises what the call raises, FailedPrecondition FENCED when somebody else has the run.
        """
        while True:
            epoch = self.epoch
            try:
                return await call(epoch)
            except FailedPrecondition as error:
                if not is_fenced(error):
                    raise
                self.lose(epoch)
                if self.is_lost:
                    raise


def is_fenced(error: ArtlabError) -> bool:
    """Whether the recorder refused because another driver has the run."""
    return error.reason == FENCED


def fenced() -> FailedPrecondition:
    """What is said to a driver whose time is over."""
    return FailedPrecondition(FENCED, "another driver has this run")
