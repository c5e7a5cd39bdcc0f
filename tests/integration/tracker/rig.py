"""A recorder on a disk with a tracker that follows it, and a second pair of eyes on the rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from services.kit.clock import ManualClock
from services.kit.ids import RunId, UploadName
from services.recorder.domain.entity import EntityDraft
from services.recorder.domain.execution import RunExecution, execution_of
from services.recorder.domain.outcome import Output, OutputEnd, RunError
from services.recorder.domain.plan import Plan
from services.recorder.domain.vocabulary import (
    Audience,
    EntityType,
    ExecutionMode,
    MediaKind,
    RunState,
    SafetyLevel,
)
from services.recorder.tracker.choice import tracker_of
from services.recorder.tracker.feed import Feed, Pace
from services.recorder.tracker.ports import EVERY_RUN
from tests.integration.recorder.harness import World
from tests.support.eventually import eventually

FAST = Pace(call=1.0, open=10.0, between=0.005, first_retry=0.02, last_retry=0.1, close=1.0)
PLAN = Plan(
    config_name="dada",
    safety_level=SafetyLevel.YOUTH,
    user_id="pseudonym-1",
    deadline=None,
    outputs=(Output(1, "builtin_text", 1, MediaKind.TEXT),),
    expected_entities=(EntityType.INPUT, EntityType.INTERCEPTION, EntityType.OUTPUT_TEXT),
    execution_mode=ExecutionMode.ECO,
    seed=1,
)
AWAY = RunError("MEDIA_UNAVAILABLE", "away", 4, True)


class Rig:
    """What a test holds in its hands."""

    def __init__(self, root: Path, setting: str, seen: str, pace: Pace) -> None:
        self.root = root
        self.clock = ManualClock()
        self.setting = setting
        self._seen = seen
        self._pace = pace
        self.feed: Feed | None = None
        self.world: World

    async def start(self, *, tracked: bool = True) -> None:
        """Start the recorder, with its tracker or without one."""
        self.feed = None
        if tracked:
            tracker = tracker_of(self.setting, self.root.with_name("executions.sqlite"))
            assert tracker is not None
            self.feed = Feed(tracker, self._pace)
        followers = [self.feed] if self.feed else []
        self.world = World("disk", self.root, clock=self.clock, followers=followers)
        await self.world.start()
        self._following = (
            asyncio.create_task(self.feed.follow(self.world.recorder)) if self.feed else None
        )

    async def stop(self) -> None:
        """Stop as the process does."""
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following
        if self.feed is not None:
            await self.feed.close()
        await self.world.stop()

    # The work of an orchestrator

    async def begin(self) -> RunId:
        """Create a run and bring it to its second stage."""
        run_id, recorder = RunId.new(), self.world.recorder
        await recorder.create_run(run_id, PLAN)
        await self._has(run_id, EntityType.INPUT, 0)
        await self._at(run_id, 1, "translation_and_safety")
        await self._at(run_id, 2, "interception")
        return run_id

    async def go_on(self, run_id: RunId) -> None:
        """Bring a run that was begun to its renderer."""
        await self._has(run_id, EntityType.INTERCEPTION, 2)
        await self._at(run_id, 4, "media_generation", 1)

    async def end(self, run_id: RunId, *, well: bool = True) -> None:
        """End a run that stands at its renderer."""
        recorder = self.world.recorder
        self.clock.advance(1.0)
        if well:
            await self._has(run_id, EntityType.OUTPUT_TEXT, 4, 1)
            await recorder.finalize_output(run_id, OutputEnd(1, RunState.SUCCEEDED, None))
            await recorder.finalize_run(run_id, RunState.SUCCEEDED, None)
        else:
            await recorder.finalize_run(run_id, RunState.FAILED, AWAY)

    async def whole(self, *, well: bool = True) -> RunId:
        """Carry a run from its beginning to its end."""
        run_id = await self.begin()
        await self.go_on(run_id)
        await self.end(run_id, well=well)
        return run_id

    async def delete(self, run_id: RunId) -> None:
        """Delete a run."""
        await self.world.recorder.delete_run(run_id)

    async def _at(self, run_id: RunId, stage: int, step: str, output: int = 0) -> None:
        self.clock.advance(0.25)
        await self.world.recorder.set_progress(run_id, stage, step, output)

    async def _has(self, run_id: RunId, kind: EntityType, stage: int, output: int = 0) -> None:
        self.clock.advance(0.25)
        draft = EntityDraft(kind, output, {}, stage, 0, None, None, 1, Audience.STUDENT, ())
        name = UploadName(run_id, f"u-{kind.value.replace('_', '-')}")
        await self.world.recorder.record_entity(name, draft, b"a text")

    # What there is

    async def recorded(self) -> dict[RunId, RunExecution]:
        """The rows as they must be, from the record."""
        recorder = self.world.recorder
        runs = [await recorder.get_run(run_id) for run_id in await recorder.run_ids()]
        return {run.run_id: execution_of(run) for run in runs}

    async def rows(self) -> dict[RunId, RunExecution]:
        """The rows as they are, asked for by somebody else, past any proxy."""
        store_id = await self.world.recorder.store_id()
        return await asyncio.to_thread(self._rows, store_id)

    def _rows(self, store_id: str) -> dict[RunId, RunExecution]:
        tracker = tracker_of(self._seen, self.root.with_name("executions.sqlite"))
        assert tracker is not None
        tracker.open(store_id)
        try:
            return {one.run_id: one for one in tracker.newest(EVERY_RUN, 100_000)}
        finally:
            tracker.close()

    async def agree(self) -> bool:
        """Whether the rows are those of the record, all of them and no other."""
        return await self.rows() == await self.recorded()

    async def caught_up(self) -> None:
        """Wait until the rows are those of the record."""
        await eventually(self.agree, 20, "the tracker has caught up")


@asynccontextmanager
async def rig_of(
    root: Path, setting: str, *, seen: str = "", pace: Pace = FAST
) -> AsyncIterator[Rig]:
    """A started rig; `seen` is the setting for the second pair of eyes."""
    root.parent.mkdir(exist_ok=True)
    rig = Rig(root, setting, seen or setting, pace)
    await rig.start()
    try:
        yield rig
    finally:
        await rig.stop()
