"""Pictures as they grow, kept from everybody at levels whose pictures are checked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import Protocol

from services.gateway.clients import RecorderClient
from services.gateway.domain.run import PREVIEW, Event, Run
from services.kit.errors import ArtlabError
from services.kit.ids import RunId


class WatchedRuns(Protocol):
    """What is needed of the recorder."""

    async def get_run(self, run_id: RunId) -> Run:
        """Return one run. Raises NotFound."""
        ...

    def watch_run(self, run_id: RunId, after_seq: int) -> AsyncGenerator[Event, None]:
        """Yield events after a fact until the run is final."""
        ...


class Turns:
    """Watches only what tells that a run ends or waits for a person."""

    def __init__(self, recorder: RecorderClient) -> None:
        self._recorder = recorder

    def watch_run(self, run_id: RunId, after_seq: int) -> AsyncGenerator[Event, None]:
        """As the recorder's watch."""
        return self._recorder.watch_run(run_id, after_seq, turns_only=True)


class CheckedLevels(Protocol):
    """Who knows the policy in force."""

    async def image_check_levels(self) -> Collection[str] | None:
        """Levels at which nothing that is seen may be shown unchecked; None when nobody says."""
        ...


class GatedWatcher:
    """Watches runs and passes a preview on only while it is known to be allowed."""

    def __init__(self, runs: WatchedRuns, policy: CheckedLevels) -> None:
        self._runs = runs
        self._policy = policy

    async def watch_run(self, run_id: RunId, after_seq: int) -> AsyncGenerator[Event, None]:
        """As the watch it guards."""
        level = ""
        async with aclosing(self._runs.watch_run(run_id, after_seq)) as events:
            async for event in events:
                if event.kind == PREVIEW:
                    level = level or await self._level(run_id)
                    if not await self._is_shown(level):
                        continue
                yield event

    async def _level(self, run_id: RunId) -> str:
        try:
            return (await self._runs.get_run(run_id)).safety_level
        except ArtlabError:
            return ""

    async def _is_shown(self, level: str) -> bool:
        checked = await self._policy.image_check_levels()
        # Who does not know does not show.
        return bool(level) and checked is not None and level not in checked
