"""Who drove which run and when, seen in the recorder's folder of claims while it happens.

The first claim of a run stands in its record, as `creator`, and in no file of that folder.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

CLAIMS = ".claims"
LOOK_SECONDS = 0.03


class Held(NamedTuple):
    """A claim as its file says it: the epoch, and whose it is; nobody's is empty."""

    epoch: int
    owner: str


class ClaimLog:
    """What was seen so far; see `watching`."""

    def __init__(self, root: Path) -> None:
        self._folder = root / CLAIMS
        # By run: every claim that was seen, in order, and when it was seen first.
        self.seen: defaultdict[str, list[tuple[float, Held]]] = defaultdict(list)

    def look(self) -> None:
        """Look now."""
        newest: dict[str, Held] = {}
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            run_id, epoch, _, _, owner = path.name.split(".", 4)
            held = Held(int(epoch), owner)
            # A new one is there before the old one goes; given back is newer than held.
            newest[run_id] = max(newest.get(run_id, held), held, key=_age)
        for run_id, held in newest.items():
            seen = self.seen[run_id]
            if not seen or seen[-1][1] != held:
                seen.append((time.time(), held))

    def created(self, run_id: str, at: float, owner: str) -> None:
        """Say who claimed a run as it was created."""
        self.seen[run_id].insert(0, (at, Held(1, owner)))

    def epoch(self, run_id: str) -> int:
        """The newest epoch of a run that was seen; 0 when it was never claimed."""
        return self.seen[run_id][-1][1].epoch if self.seen[run_id] else 0

    def driven_at(self, moment: float) -> dict[str, str]:
        """Who drove which run then, as far as was seen."""
        found = {}
        for run_id, claims in self.seen.items():
            before = [held for at, held in claims if at <= moment]
            if before and before[-1].owner:
                found[run_id] = before[-1].owner
        return found

    def check(self) -> None:
        """Epochs only grow, and each belongs to one driver."""
        for run_id, claims in self.seen.items():
            epochs = [held.epoch for _, held in claims]
            assert epochs == sorted(epochs), f"{run_id}: epochs {epochs}"
            owners = {(held.epoch, held.owner) for _, held in claims if held.owner}
            assert len({epoch for epoch, _ in owners}) == len(owners), f"{run_id}: {owners}"


def _age(held: Held) -> tuple[int, bool]:
    return held.epoch, not held.owner


@asynccontextmanager
async def watching(root: Path) -> AsyncIterator[ClaimLog]:
    """Look again and again while the block runs."""
    log = ClaimLog(root)

    async def look() -> None:
        while True:
            log.look()
            await asyncio.sleep(LOOK_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield log
    finally:
        looking.cancel()
        await asyncio.wait([looking])
