"""How long the nodes of a workflow take where it ran before, and what is left from that. Pure."""

from __future__ import annotations

import statistics
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass

REMEMBERED_RUNS = 9
MAX_WORKFLOWS = 64


@dataclass(frozen=True, slots=True)
class NodeTime:
    """Seconds one node was at work, and the steps it told of; 1 when it told of none."""

    seconds: float
    steps: int = 1


class Pace:
    """Recent runs of one workflow at one instance."""

    def __init__(self) -> None:
        self._runs: deque[Mapping[str, NodeTime]] = deque(maxlen=REMEMBERED_RUNS)
        # Median seconds by node, and those of one step; it is asked for with every event of a job.
        self._medians: dict[str, tuple[float, float]] = {}

    def add(self, run: Mapping[str, NodeTime]) -> None:
        """Take in a run that ended well: every node that was at work, not those cached."""
        if not run:
            return
        self._runs.append(run)
        nodes = {node for one in self._runs for node in one}
        self._medians = {node: self._median(node) for node in nodes}

    def __bool__(self) -> bool:
        return bool(self._runs)

    def seconds(self, node: str, steps: int | None = None) -> float | None:
        """Median seconds of a node, for so many steps if that is known; None without a run."""
        median = self._medians.get(node)
        if median is None:
            return None
        return median[0] if steps is None else steps * median[1]

    def _median(self, node: str) -> tuple[float, float]:
        times = [run[node] for run in self._runs if node in run]
        return (
            statistics.median(time.seconds for time in times),
            statistics.median(time.seconds / time.steps for time in times),
        )


class Paces:
    """What one instance needs for each workflow, and for any job at all."""

    def __init__(self) -> None:
        self._paces: OrderedDict[str, Pace] = OrderedDict()
        self._totals: deque[float] = deque(maxlen=REMEMBERED_RUNS)

    def of(self, workflow: str) -> Pace:
        """The pace of a workflow; those not asked for longest are forgotten."""
        pace = self._paces.setdefault(workflow, Pace())
        self._paces.move_to_end(workflow)
        while len(self._paces) > MAX_WORKFLOWS:
            self._paces.popitem(last=False)
        return pace

    def add(self, workflow: str, run: Mapping[str, NodeTime]) -> None:
        """Take in a run that ended well."""
        self.of(workflow).add(run)
        self._totals.append(sum(time.seconds for time in run.values()))

    @property
    def typical_seconds(self) -> float | None:
        """Median of recent jobs of all workflows; None before the first."""
        return statistics.median(self._totals) if self._totals else None


def remaining_seconds(usual_seconds: float, elapsed_seconds: float, fraction: float) -> float:
    """What is left of a job that usually takes so long and is so far after so much time.

    At first the usual time counts, later more and more the job's own pace.
    """
    left = 1.0 - fraction
    return left * (left * usual_seconds + elapsed_seconds)
