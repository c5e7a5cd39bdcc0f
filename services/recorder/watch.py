"""Watching runs: every fact once and in order, hints where there is room."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from services.kit.errors import OutOfRange, Unavailable
from services.kit.ids import RunId
from services.recorder.claims import Claims
from services.recorder.domain.events import RunEvent
from services.recorder.domain.run import Run
from services.recorder.table import OpenRun, RunTable
from services.recorder.watcher import Hint, Watcher

RESUME_SECONDS = 0.2

Update = tuple[Run, RunEvent | None, Hint | None]


class Watching:
    """Opens watches and passes hints on."""

    def __init__(self, table: RunTable, claims: Claims) -> None:
        self._table = table
        self._claims = claims
        self._is_draining = False
        self._watchers: set[Watcher] = set()

    @property
    def count(self) -> int:
        """How many watches are open."""
        return len(self._watchers)

    async def watch(self, run_id: RunId, after_seq: int) -> AsyncGenerator[Update, None]:
        """Yield facts with seq greater than `after_seq`, and hints, until the run is final.

        Each comes with a run that contains it. Raises NotFound RUN_NOT_FOUND (also when it is
        deleted meanwhile), OutOfRange AFTER_SEQ_TOO_LARGE, Unavailable DRAINING.
        """
        async with self._table.held(run_id) as held:
            newest = held.current.last_event_seq
            if after_seq > newest:
                raise OutOfRange(
                    "AFTER_SEQ_TOO_LARGE", f"the newest event is {newest}", field="after_seq"
                )
            watcher = Watcher()
            held.watchers.add(watcher)
            self._watchers.add(watcher)
            try:
                async for update in self._updates(held, watcher, after_seq):
                    yield update
            finally:
                held.watchers.discard(watcher)
                self._watchers.discard(watcher)

    async def publish(self, run_id: RunId, hints: Sequence[Hint], epoch: int) -> None:
        """Offer hints to whoever watches.

        Raises NotFound RUN_NOT_FOUND, FailedPrecondition FENCED.
        """
        held = self._table.find(run_id)
        if held is None or held.run is None:
            self._claims.check(await self._table.read(run_id), epoch)
            return
        self._claims.check(held.current, epoch)
        for watcher in held.watchers:
            watcher.offer(held.current.last_event_seq, hints)

    async def drain(self) -> None:
        """End every watch; they resume at another or a later server."""
        self._is_draining = True
        for watcher in self._watchers:
            watcher.wake.set()

    async def _updates(
        self, held: OpenRun, watcher: Watcher, seq: int
    ) -> AsyncGenerator[Update, None]:
        while True:
            watcher.wake.clear()
            run = held.current
            for event in run.events[seq:]:
                for hint in watcher.take(event.seq - 1):
                    yield run, None, hint
                yield run, event, None
                seq = event.seq
            for hint in watcher.take(seq):
                yield run, None, hint
            if run.is_final and seq == run.last_event_seq:
                return
            if self._is_draining:
                raise Unavailable(
                    "DRAINING",
                    "the server stops; resume after the last seq",
                    retry_after_seconds=RESUME_SECONDS,
                )
            await watcher.wake.wait()
