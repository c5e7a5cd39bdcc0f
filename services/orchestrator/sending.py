"""How what a run writes is sent: in order, together where it belongs together, and patiently."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.kit.clock import Clock
from services.kit.errors import ArtlabError
from services.kit.log import facts
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.run import EntityDraft, RecordedEntity, RecordedRun, Verdict
from services.orchestrator.patience import patiently, recorder_may_recover
from services.orchestrator.ports import Position, Recorder
from services.orchestrator.record import Record

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Held:
    """An entity on its way, perhaps recorded with what follows it."""

    draft: EntityDraft
    verdicts: tuple[Verdict, ...] = ()


class Sending:
    """Sends what one run writes.

    Args:
        recorded: the run as it stood when driving began; None for a new one. What is written here
            is found in `record` as well.
    """

    def __init__(
        self,
        plan: Plan,
        recorder: Recorder,
        clock: Clock,
        patience_seconds: float,
        recorded: RecordedRun | None = None,
    ) -> None:
        self._patience = patience_seconds
        self._plan = plan
        self._recorder = recorder
        self._clock = clock
        self.record = Record(plan.run_id, recorder, recorded, self._patiently)
        # Where the run stands, 1 to 4, and where each output does.
        self.stage_now = max(1, recorded.stage) if recorded else 1
        self.stages: dict[int, int] = {}
        # On its way to the recorder, beside the work it announces and before whatever comes of it.
        self._saying: asyncio.Task[None] | None = None
        # What is recorded together with what follows, in order.
        self._held: list[_Held] = []
        self._order = asyncio.Lock()

    async def stage(self, stage: int, step: str, output_index: int = 0) -> None:
        """Say where the run stands, and record with it what was held back.

        Nothing else is written before that is recorded.
        """
        run = self._plan.run_id
        async with self._order:
            await self.said()
            self.stage_now = self.stages[output_index] = stage
            if self._held:
                await self._commit(Position(stage, step, output_index))
                return
            self._saying = asyncio.create_task(
                self._patiently(
                    lambda: self._recorder.set_progress(run, stage, step, output_index)
                ),
                name=f"stage {stage}",
            )
        # Sent before anything that follows it.
        await asyncio.sleep(0)

    async def settled(self) -> None:
        """Wait until everything is recorded. Raises what could not be done."""
        async with self._order:
            await self.said()
            if self._held:
                await self._commit()

    async def said(self) -> None:
        """Wait until it is recorded where the run stands. Raises what `stage` could not do."""
        saying = self._saying
        if saying is None:
            return
        # Others may wait for it as well, so that it is not to be cancelled with this one.
        await asyncio.wait({saying})
        if self._saying is saying:
            self._saying = None
        saying.result()

    async def close(self) -> None:
        """Let go of what is on its way; whoever goes on with the run does it again."""
        self._held = []
        saying, self._saying = self._saying, None
        if saying is not None:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)

    async def _keep(
        self, draft: EntityDraft, verdicts: tuple[Verdict, ...] = (), *, with_next: bool = False
    ) -> None:
        if not with_next:
            await self._record(draft, verdicts)
            return
        async with self._order:
            await self.said()
            self._held.append(_Held(draft, verdicts))

    async def _record(
        self, draft: EntityDraft, verdicts: tuple[Verdict, ...] = (), *more: EntityDraft
    ) -> RecordedEntity:
        """Record an entity and perhaps more after it, and before it what was held back.

        Returns the last of them.
        """
        news = [_Held(draft, verdicts), *map(_Held, more)]
        async with self._order:
            await self.said()
            if self._held:
                return await self._commit(None, news)
        # Others need not wait for it, such as who removes what it refuses.
        return await self._send(news)

    async def _commit(
        self, then: Position | None = None, more: Sequence[_Held] = ()
    ) -> RecordedEntity:
        last = await self._send([*self._held, *more], then)
        self._held = []
        return last

    async def _send(self, news: Sequence[_Held], then: Position | None = None) -> RecordedEntity:
        run, drafts = self._plan.run_id, [one.draft for one in news]
        entities = await self._patiently(lambda: self._recorder.record_all(run, drafts, then))
        for entity, one in zip(entities, news, strict=True):
            self.record.add(entity, one.verdicts)
        return entities[-1]

    async def _write(self, call: Callable[[], Awaitable[T]]) -> T:
        await self.settled()
        return await self._patiently(call)

    async def _end(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            await self.settled()
        except ArtlabError as problem:
            # An end has room where nothing else has, and it must not hang on anything.
            log.warning("not recorded before an end", extra=facts(reason=problem.reason))
            await self.close()
        return await self._patiently(call)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        return await patiently(call, self._patience, self._clock, recorder_may_recover)
