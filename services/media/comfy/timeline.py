"""When the nodes of one job were at work, as far as its events were seen."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from services.media.domain.pace import NodeTime


@dataclass(slots=True)
class _Steps:
    """A sampler: steps in all, and when its first and latest seen step were done."""

    total: int
    first: tuple[int, float]
    last: tuple[int, float]


class Timeline:
    """Filled by the events of one job; all times in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._node = ""
        self._since = 0.0
        self._spent: dict[str, float] = {}
        self._entered: dict[str, float] = {}
        self._steps: dict[str, _Steps] = {}

    def begin(self, now: float) -> None:
        """Execution has begun."""
        self._began = now

    def enter(self, node: str, now: float) -> None:
        """Say which node is at work from now on; "" is none."""
        if self._node:
            self._spent[self._node] = self._spent.get(self._node, 0.0) + now - self._since
        self._node, self._since = node, now
        self._entered.setdefault(node, now)

    def step(self, node: str, value: int, total: int, now: float) -> None:
        """So many steps of this node are done."""
        known = self._steps.get(node)
        if value < 1 or (known is not None and value <= known.last[0]):
            return
        first = known.first if known is not None else (value, now)
        self._steps[node] = _Steps(total, first, (value, now))

    def elapsed_seconds(self, now: float) -> float:
        """Since execution began; 0.0 before."""
        return now - self._began if self._began is not None else 0.0

    def times(self, done: Set[str]) -> dict[str, NodeTime] | None:
        """What every node took; None unless all that is done was seen from begin to end."""
        # Expanded nodes ("5.0.0.1") are their origin's work.
        own = {node for node in done if "." not in node}
        if self._began is None or not own or not own <= self._spent.keys():
            return None
        return {
            node: NodeTime(seconds, self._steps[node].total if node in self._steps else 1)
            for node, seconds in self._spent.items()
        }

    def before_first_step(self, node: str) -> float:
        """Seconds a sampler waited before its first step began; 0.0 when it cannot be told."""
        steps = self._steps.get(node)
        if steps is None or node not in self._entered or steps.first[0] != 1:
            return 0.0
        count = steps.last[0] - steps.first[0]
        if count < 2:
            return 0.0
        one = (steps.last[1] - steps.first[1]) / count
        return max(0.0, steps.first[1] - self._entered[node] - one)
