"""A queue that is fair between people: one of each in turn, then who came first. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

# Owners without anything in the queue whose last turn is remembered.
MAX_REMEMBERED = 1024

T = TypeVar("T")


class _Lane(Generic[T]):
    """What one owner has in the queue; the first item has `turn`, the next one turn + 1."""

    def __init__(self, turn: int) -> None:
        self.turn = turn
        # Number of arrival → item.
        self.items: dict[int, T] = {}


class FairQueue(Generic[T]):
    """Holds items of owners; who has many waits as long for the second as others for the first.

    Whoever had a turn and comes back at once does not come before those who had none. Items are
    told apart by identity; each is in the queue at most once.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane[T]] = {}
        # Those that had their turn and lost what it gave them.
        self._returned: list[T] = []
        self._now = 0
        self._next_turn: dict[str, int] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._returned) + sum(len(lane.items) for lane in self._lanes.values())

    def __iter__(self) -> Iterator[T]:
        """The items in the order in which they are to be served."""
        turns = [
            (lane.turn + place, arrival, item)
            for lane in self._lanes.values()
            for place, (arrival, item) in enumerate(lane.items.items())
        ]
        yield from list(self._returned)
        yield from (item for _, _, item in sorted(turns, key=lambda entry: entry[:2]))

    def count(self, owner: str) -> int:
        """How many items an owner has in it, without those that were put back."""
        lane = self._lanes.get(owner)
        return len(lane.items) if lane is not None else 0

    def add(self, item: T, owner: str) -> None:
        """Put an item behind those of its owner."""
        lane = self._lanes.get(owner)
        if lane is None:
            lane = _Lane(max(self._now, self._next_turn.pop(owner, 0)))
            self._lanes[owner] = lane
        self._arrivals += 1
        lane.items[self._arrivals] = item

    def put_back(self, item: T) -> None:
        """Put an item before all others: it had its turn, and came to nothing without fault."""
        self._returned.append(item)

    def serve(self, item: T) -> None:
        """Take an item out; that was its owner's turn. Nothing happens if it is not there."""
        if self._take_returned(item):
            return
        for owner, lane in list(self._lanes.items()):
            if self._take(lane, item):
                self._now = max(self._now, lane.turn)
                lane.turn += 1
                if not lane.items:
                    del self._lanes[owner]
                    self._remember(owner, lane.turn)

    def remove(self, item: T) -> None:
        """Take an item out that waits no more; its owner's others move up."""
        if self._take_returned(item):
            return
        for owner, lane in list(self._lanes.items()):
            if self._take(lane, item) and not lane.items:
                del self._lanes[owner]
                self._remember(owner, lane.turn)

    def _take_returned(self, item: T) -> bool:
        kept = [other for other in self._returned if other is not item]
        found = len(kept) < len(self._returned)
        self._returned = kept
        return found

    def _take(self, lane: _Lane[T], item: T) -> bool:
        for arrival, other in lane.items.items():
            if other is item:
                del lane.items[arrival]
                return True
        return False

    def _remember(self, owner: str, turn: int) -> None:
        if len(self._next_turn) >= MAX_REMEMBERED:
            # So many had their turn that the next one is everybody's.
            self._now += 1
        self._next_turn[owner] = turn
        self._next_turn = {who: at for who, at in self._next_turn.items() if at > self._now}
