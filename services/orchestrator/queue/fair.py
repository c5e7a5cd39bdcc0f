"""Whose turn it is: people with the fewest runs in work first, then first come first served. Pure.

Ordering is greedy: each run that is taken counts for its person before the next one is chosen, so
that a list read once can be worked through.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterator

from services.orchestrator.claims import Claimable, ClaimableRuns


def in_turn(waiting: ClaimableRuns) -> Iterator[Claimable]:
    """Yield the runs in the order in which they are to be driven."""
    lines: defaultdict[str, deque[Claimable]] = defaultdict(deque)
    for run in sorted(waiting.runs, key=lambda one: (one.created, str(one.run_id))):
        lines[run.user_id].append(run)
    heap = [_turn(waiting.loads.get(user, 0), line) for user, line in lines.items()]
    heapq.heapify(heap)
    while heap:
        load, _, _, user = heap[0]
        line = lines[user]
        yield line.popleft()
        if line:
            heapq.heapreplace(heap, _turn(load + 1, line))
        else:
            heapq.heappop(heap)


def _turn(load: int, line: deque[Claimable]) -> tuple[int, float, str, str]:
    first = line[0]
    return load, first.created.timestamp(), str(first.run_id), first.user_id
