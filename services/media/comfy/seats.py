"""Our jobs at one ComfyUI: one that runs and one that waits behind it, so that it never idles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

MOST = 2


class Seat:
    """A job's place, from before it is handed in until it is over there; to be released."""

    def __init__(
        self, workflow: str, before: Collection[Seat], changed: Callable[[Seat], None]
    ) -> None:
        self.workflow = workflow
        self.begun = False
        self.released = False
        # Much may have happened since the job asked for it.
        self.was_waited_for = False
        # Somebody asked for the instance to be left alone: what has not begun goes elsewhere.
        self.recalled = asyncio.Event()
        self._before = tuple(before)
        self._changed = changed

    @property
    def ahead(self) -> int:
        """Jobs of ours that were handed in there before and are not over."""
        return sum(not seat.released for seat in self._before)

    def begin(self) -> None:
        """The job runs: another one may wait behind it."""
        if not self.begun:
            self.begun = True
            self._before = ()
            self._changed(self)

    def release(self) -> None:
        """The job is over here, whatever became of it."""
        if not self.released:
            self.released = True
            self._before = ()
            self._changed(self)


class Seats:
    """The seats of one instance. `changed` is called whenever there may be room again."""

    def __init__(self) -> None:
        self.changed: Callable[[Seat], None] = lambda seat: None
        self._taken: set[Seat] = set()

    def __len__(self) -> int:
        return len(self._taken)

    @property
    def running(self) -> int:
        """Jobs that have begun."""
        return sum(seat.begun for seat in self._taken)

    @property
    def waiting(self) -> int:
        """Jobs handed in, or about to be, that have not begun."""
        return len(self._taken) - self.running

    @property
    def have_room(self) -> bool:
        """Whether one more may be handed in."""
        return self.waiting == 0 and len(self._taken) < MOST

    def take(self, workflow: str) -> Seat:
        """Take a seat, even when there is no room: a job that is there already needs one."""
        seat = Seat(workflow, self._taken, self._on_change)
        self._taken.add(seat)
        return seat

    def recall(self) -> None:
        """Ask for every job that has not begun to go elsewhere."""
        for seat in self._taken:
            if not seat.begun:
                seat.recalled.set()

    def _on_change(self, seat: Seat) -> None:
        if seat.released:
            self._taken.discard(seat)
        self.changed(seat)
