"""The course of one job at one ComfyUI: handed in once, followed to its end, or stopped.

Events hasten, the queue and the history decide: whatever is lost on the websocket is found by
the next look, less than a second later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from services.kit.clock import Clock
from services.kit.errors import ArtlabError, Unavailable
from services.kit.log import facts
from services.media.comfy.errors import Unanswered, Unreachable, lost, taken_out
from services.media.comfy.instance import Instance, Look
from services.media.comfy.watch import JobWatch
from services.media.domain.workflow import Workflow
from services.media.ports import RenderProgress, Report

log = logging.getLogger(__name__)

# Together less than a second: how often a job is looked for, and how old a queue that was read
# for another job may be.
LOOK_SECONDS = 0.6
SHARED_SECONDS = 0.15
LOOK_AGAIN_SECONDS = 0.25
READY_TIMEOUT_SECONDS = 2.0
# ComfyUI writes the history after it says that it is done; 858 ms was the worst seen. After these
# the look decides: the queue gives a job up in the moment in which the history gets it.
HISTORY_WAITS_SECONDS = (0.0, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.4)
# Every accepted prompt is announced to every socket within milliseconds.
CANARY_SECONDS = 2.0
# Nobody listens on the port any more: the process is gone, and its queue with it.
REFUSED_SECONDS = 5.0
# Its machine cannot be reached: off, or beyond a network that may come back with the job done.
AWAY_SECONDS = 30.0
# Jobs wait and none runs: the worker thread is dead, although HTTP is well.
STALLED_SECONDS = 5.0
LEAST_STEP = 0.005


class Course:
    """One job, one instance, one prompt id."""

    def __init__(
        self,
        instance: Instance,
        workflow: Workflow,
        graph: Mapping[str, object],
        prompt_id: str,
        report: Report,
        clock: Clock,
    ) -> None:
        self.instance = instance
        self.prompt_id = prompt_id
        self._workflow = workflow
        self._graph = graph
        self._report = report
        self._clock = clock
        self._told = RenderProgress(phase="")
        self._sending: asyncio.Task[None] | None = None
        # Handed in by somebody else: before a restart of ours, or by a copy of this service.
        self.adopted = False
        self._live = False
        self._connection = 0

    async def run(self, found: Look) -> Mapping[str, Any]:
        """Return the history entry; `found` says whether it is at this instance already.

        Raises COMFY_LOST, COMFY_STALLED, COMFY_INTERRUPTED (taken out of the queue by somebody
        else) and what `Instance.submit` raises.
        """
        if found.entry is not None:
            return found.entry
        with self.instance.events.watch(self.prompt_id, self._workflow) as watch:
            self._tell(watch, "queued", 0)
            if found.state == "unknown":
                client_id = await self.instance.events.client_id(READY_TIMEOUT_SECONDS)
                self._live = self.instance.events.live
                self._connection = self.instance.events.connections
                frames = self.instance.events.frames
                await self._submit(client_id)
            else:
                self.adopted = True
                frames = self.instance.events.frames
                log.info("job adopted", extra=facts(prompt_id=self.prompt_id, state=found.state))
            return await self._follow(watch, frames)

    async def stop(self) -> bool:
        """Stop the job at ComfyUI; whether ComfyUI says it did."""
        if self._sending is None and not self.adopted:
            return False
        if self._sending is not None and not self._sending.done():
            # What is on its way must arrive first, or it would run after the cancel.
            await asyncio.wait({self._sending}, timeout=1.0)
        cut = self._sending is not None and self._sending.cancel()
        try:
            stopped = await self.instance.cancel(self.prompt_id)
            if cut and not stopped:
                # It may have been read a moment after we asked.
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
                stopped = await self.instance.cancel(self.prompt_id)
            word = "stopped" if stopped else "too late to stop"
            log.info(word, extra=facts(prompt_id=self.prompt_id))
            return stopped
        except ArtlabError as error:
            log.warning("cancel failed", extra=facts(prompt_id=self.prompt_id, why=error.reason))
            return False

    async def _submit(self, client_id: str) -> None:
        for attempt in (1, 2):
            # Nothing else needs to be kept: the id follows from the upload's name.
            log.info(
                "submitting", extra=facts(prompt_id=self.prompt_id, instance=self.instance.url)
            )
            self._sending = asyncio.create_task(
                self.instance.submit(self._graph, self.prompt_id, client_id, self._workflow),
                name=f"submit {self.prompt_id}",
            )
            self._sending.add_done_callback(_retrieve)
            try:
                await asyncio.shield(self._sending)
                return
            except Unanswered as error:
                log.warning(
                    "submission unanswered",
                    extra=facts(prompt_id=self.prompt_id, attempt=attempt, why=error.message),
                )
                if await self._arrived():
                    return
                refusal = error
        raise refusal

    async def _arrived(self) -> bool:
        """Look twice before anything is sent again: ComfyUI would run it twice."""
        refused_since: float | None = None
        absent = 0
        while absent < 2:
            try:
                if (await self.instance.look(self.prompt_id)).state != "unknown":
                    return True
                absent += 1
                refused_since = None
            except Unreachable as error:
                refused_since = self._refused(refused_since, error)
            except Unanswered:
                refused_since = None
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return False

    async def _follow(self, watch: JobWatch, frames: int) -> Mapping[str, Any]:
        began = self._clock.monotonic()
        loop = asyncio.get_running_loop()
        submitted = loop.time()
        next_look = began + LOOK_SECONDS
        refused_since: float | None = None
        stalled_since: float | None = None
        absent = 0
        while True:
            if watch.ended:
                watch.ended = False
                entry = await self._history()
                if entry is not None:
                    return entry
                next_look = self._clock.monotonic()
            if watch.started:
                self._tell(watch, "executing", 0)
            try:
                async with asyncio.timeout(max(0.0, next_look - self._clock.monotonic())):
                    await watch.changed.wait()
                    watch.changed.clear()
                    continue
            except TimeoutError:
                pass
            next_look = self._clock.monotonic() + LOOK_SECONDS
            self._check_canary(began, frames)
            # What seems to be gone is looked for in a queue of its own.
            since = max(submitted, loop.time() - SHARED_SECONDS) if absent == 0 else None
            try:
                look = await self.instance.look(self.prompt_id, since=since)
            except Unreachable as error:
                refused_since = self._refused(refused_since, error)
                continue
            except Unanswered:
                refused_since = None
                continue
            refused_since = None
            if look.entry is not None:
                return look.entry
            absent = absent + 1 if look.state == "unknown" else 0
            if absent == 1:
                next_look = self._clock.monotonic() + LOOK_AGAIN_SECONDS
            elif absent > 1:
                return self._told_entry(watch, frames)
            stalled_since = self._stalled(look, stalled_since)
            self._told_by(look, watch)

    def _told_entry(self, watch: JobWatch, frames: int) -> Mapping[str, Any]:
        """Return what the events told of a job that ComfyUI knows no more, or raise why."""
        if watch.succeeded:
            # Finished, and its history is full already.
            log.info("history evicted", extra=facts(prompt_id=self.prompt_id))
            messages = [["execution_success", {}]]
            prompt = [0, self.prompt_id, self._graph, {}, []]
            return {"prompt": prompt, "outputs": watch.outputs, "status": {"messages": messages}}
        events = self.instance.events
        heard = events.live and events.frames > frames and events.connections == self._connection
        if heard and not watch.started and not self.adopted:
            # The same ComfyUI all the while, and it never began: that was somebody's wish.
            raise taken_out()
        raise lost(self.instance.url, "neither queued nor finished")

    def _told_by(self, look: Look, watch: JobWatch) -> None:
        if look.state == "pending":
            self._tell(watch, "queued", look.position)
        elif look.state == "running":
            self._tell(watch, "executing", 0)

    def _refused(self, since: float | None, error: Unreachable) -> float:
        now = self._clock.monotonic()
        patience_seconds = REFUSED_SECONDS if error.refused else AWAY_SECONDS
        if since is not None and now - since >= patience_seconds:
            raise lost(self.instance.url, "nobody listens there any more") from error
        return now if since is None else since

    def _stalled(self, look: Look, since: float | None) -> float | None:
        if look.state != "pending" or not look.idle:
            return None
        now = self._clock.monotonic()
        if since is not None and now - since >= STALLED_SECONDS:
            self.instance.shun()
            raise Unavailable(
                "COMFY_STALLED",
                f"ComfyUI at {self.instance.url} takes jobs in and runs none; restart it",
            )
        return now if since is None else since

    def _check_canary(self, began: float, frames: int) -> None:
        if not self._live or self._clock.monotonic() - began < CANARY_SECONDS:
            return
        self._live = False
        if self.instance.events.live and self.instance.events.frames == frames:
            self.instance.events.suspect()

    async def _history(self) -> Mapping[str, Any] | None:
        for wait in HISTORY_WAITS_SECONDS:
            await asyncio.sleep(wait)
            try:
                entry = await self.instance.history(self.prompt_id)
            except (Unreachable, Unanswered):
                continue
            if entry is not None:
                return entry
        return None

    def _tell(self, watch: JobWatch, phase: str, position: int) -> None:
        fraction = watch.fraction
        told = self._told
        same = (told.phase, told.queue_position, told.node) == (phase, position, watch.node)
        if same and fraction - told.fraction < LEAST_STEP:
            return
        self._told = RenderProgress(
            phase=phase,
            fraction=fraction,
            queue_position=position,
            instance=self.instance.url,
            node=watch.node,
        )
        self._report(self._told)


def _retrieve(sending: asyncio.Task[None]) -> None:
    # Nobody may be waiting any more when it fails.
    if not sending.cancelled():
        sending.exception()
