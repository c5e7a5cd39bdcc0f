"""The line before a provider: so many at once, the others in turn, one of each person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from services.kit.errors import ResourceExhausted
from services.kit.fair_queue import FairQueue

# What one turn takes before any was measured; a text of a small model takes about this long.
FIRST_GUESS_SECONDS = 5.0
LONGEST_COME_BACK_SECONDS = 120.0
# How often a place in the line is looked at anew.
TELL_SECONDS = 1.0
# The weight of the last turn in the average.
_NEWEST = 0.25


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False, slots=True)
class Ticket:
    """A place in the line; `granted` is done when it is one's turn."""

    granted: asyncio.Future[None] = field(default_factory=_future)
    # When that was, on the loop's clock.
    began: float = 0.0


class Line:
    """Lets `at_once` through; `waiting` more may stand in line, and further ones are sent away."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self.at_once = at_once
        self._room = waiting
        self._queue: FairQueue[Ticket] = FairQueue()
        self._running = 0
        self._turn_seconds = FIRST_GUESS_SECONDS
        # Place by ticket, worked out once for each change of the line.
        self._places: dict[Ticket, int] | None = None

    @property
    def running(self) -> int:
        """How many have their turn."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._queue)

    @contextmanager
    def stand(self, owner: str) -> Iterator[Ticket]:
        """A place in the line, or a turn at once; either is given up at the end of the block.

        Raises ResourceExhausted LLM_BUSY when the line is full.
        """
        ticket = Ticket()
        if self._running < self.at_once and not len(self._queue):
            self._grant(ticket)
        elif len(self._queue) >= self._room:
            raise self._busy("too many wait for the model")
        else:
            self._queue.add(ticket, owner)
            self._places = None
        try:
            yield ticket
        finally:
            if ticket.granted.done():
                self._running -= 1
                self._learn(asyncio.get_running_loop().time() - ticket.began)
            else:
                self._queue.remove(ticket)
            self._places = None
            self._call_next()

    async def places(self, ticket: Ticket, deadline: float) -> AsyncGenerator[int, None]:
        """Yield one's place, from 1, at once and when it has changed; end when it is one's turn.

        Args:
            ticket: of `stand`.
            deadline: on the loop's clock.

        Raises ResourceExhausted LLM_BUSY when the time is over.
        """
        loop, told = asyncio.get_running_loop(), 0
        while not ticket.granted.done():
            place = self._place(ticket)
            if place != told:
                told = place
                yield place
            left = deadline - loop.time()
            if left <= 0:
                raise self._busy("no turn at the model came in time")
            await asyncio.wait({ticket.granted}, timeout=min(TELL_SECONDS, left))

    def _place(self, ticket: Ticket) -> int:
        if self._places is None:
            self._places = {each: place for place, each in enumerate(self._queue, 1)}
        return self._places.get(ticket, 1)

    def _call_next(self) -> None:
        while self._running < self.at_once and len(self._queue):
            ticket = next(iter(self._queue))
            self._queue.serve(ticket)
            self._places = None
            self._grant(ticket)

    def _grant(self, ticket: Ticket) -> None:
        self._running += 1
        ticket.began = asyncio.get_running_loop().time()
        ticket.granted.set_result(None)

    def _learn(self, seconds: float) -> None:
        self._turn_seconds += _NEWEST * (seconds - self._turn_seconds)

    def _busy(self, message: str) -> ResourceExhausted:
        ahead = self._turn_seconds * (len(self._queue) + 1) / self.at_once
        return ResourceExhausted(
            "LLM_BUSY",
            message,
            retry_after_seconds=min(max(1.0, ahead), LONGEST_COME_BACK_SECONDS),
        )
