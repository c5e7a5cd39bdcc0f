"""How runs find somebody to drive them. Pure.

The recorder's claim decides who drives a run; a queue only brings runs and drivers together, so a
queue that loses or repeats a run costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Protocol

from services.kit.ids import RunId


class Lost(StrEnum):
    """Why a claim does not hold any more."""

    FENCED = "FENCED"
    RUN_FINAL = "RUN_FINAL"
    RUN_NOT_FOUND = "RUN_NOT_FOUND"
    # Nothing was heard for longer than the claim holds: somebody else may have it by now.
    EXPIRED = "EXPIRED"


class ClaimedRun(Protocol):
    """A run that is ours to drive until `lost` says otherwise. Held by a heartbeat of the queue."""

    @property
    def run_id(self) -> RunId:
        """Which one."""
        ...

    @property
    def epoch(self) -> int:
        """To be sent with every write, from 1."""
        ...

    async def lost(self) -> Lost:
        """Wait until the claim is lost; return why. Never returns for one that is given back."""
        ...

    async def done(self) -> None:
        """Say that the run is final. Raises nothing: a queue that is away finds out by itself."""
        ...

    async def release(self, delay_seconds: float = 0.0) -> None:
        """Give the run back, to be claimed by anybody after the delay. Raises nothing."""
        ...


class RunQueue(Protocol):
    """Brings runs to drivers, fairly between people, then first come first served."""

    async def submit(self, run_id: RunId, user_id: str, *, epoch: int = 0) -> None:
        """Have a run driven; again changes nothing.

        `epoch` is that of a claim which this process got when it created the run; 0 for none.

        Raises ArtlabError when the queue cannot be reached; the run is found later all the same.
        """
        ...

    def claims(self) -> AsyncIterator[ClaimedRun]:
        """Yield runs to drive, each claimed; ask for the next one only when there is room for it.

        Goes on through outages of whatever is behind it. Ends only when it is closed.
        """
        ...

    async def aclose(self) -> None:
        """Stop heartbeats; claims still held are given back by their owners before."""
        ...
