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
from services.media.comfy.errors import Unanswered, Unreachable, lost, stalled, taken_out
from services.media.comfy.health import STALLED_SECONDS
from services.media.comfy.history_entry import await_history, told_entry
from services.media.comfy.instance import Instance, Look
from services.media.comfy.journal import HandIn, Journal
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
# Every accepted prompt is announced to every socket within milliseconds.
CANARY_SECONDS = 2.0
# Nobody listens on the port any more: the process is gone, and its queue with it.
REFUSED_SECONDS = 5.0
# Its machine cannot be reached: off, or beyond a network that may come back with the job done.
AWAY_SECONDS = 30.0
LEAST_STEP = 0.005


class Course:
    """One job, one instance, one prompt id."""

    def __init__(
        self,
        instance: Instance,
        workflow: Workflow,
        graph: Mapping[str, object],
        hand_in: HandIn,
        journal: Journal,
        report: Report,
        clock: Clock,
    ) -> None:
        self.instance = instance
        self.upload, self.prompt_id = hand_in.upload, hand_in.prompt_id
        self._hand_in = hand_in
        self._journal = journal
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
        self._watch: JobWatch | None = None

    @property
    def facts(self) -> dict[str, str]:
        """What the events told of its execution, for the entity; empty when they were lost."""
        return self._watch.facts() if self._watch is not None else {}

    async def run(self, found: Look) -> Mapping[str, Any]:
        """Return the history entry; `found` says whether it is at this instance already.

        Raises COMFY_LOST, COMFY_STALLED, COMFY_INTERRUPTED (taken out of the queue by somebody
        else) and what `Instance.submit` raises.
        """
        if found.entry is not None:
            return found.entry
        with self.instance.events.watch(self.prompt_id, self._workflow) as watch:
            self._watch = watch
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

    async def stop(self) -> bool | None:
        """Stop the job at ComfyUI; whether ComfyUI says it did. None: it could not be asked."""
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
        except ArtlabError as error:
            log.info("cancel failed", extra=facts(prompt_id=self.prompt_id, why=error.reason))
            return None if isinstance(error, Unavailable) else False
        return stopped

    async def withdraw(self) -> bool:
        """Take the job out of ComfyUI's queue unless it has begun; whether it is certainly gone.

        Raises Unreachable, Unanswered, COMFY_PROTOCOL.
        """
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=1.0)
        if not self.adopted and (self._sending is None or not self._sending.done()):
            # It may be read after whatever we ask now.
            return False
        return await self.instance.withdraw(self.prompt_id)

    async def _submit(self, client_id: str) -> None:
        # Whoever takes over after a crash looks for it there before anything is sent again.
        await self._journal.put(self._hand_in)
        for attempt in (1, 2):
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
                look = await look_twice(self.instance, self.prompt_id, self._clock)
                if look.state != "unknown":
                    return
                refusal = error
        raise refusal

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
                entry = await await_history(self.instance, self.prompt_id)
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
                refused_since = _refused(self.instance, refused_since, error, self._clock)
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
            return told_entry(self.prompt_id, self._graph, watch.outputs)
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

    def _stalled(self, look: Look, since: float | None) -> float | None:
        if look.state != "pending" or not look.idle:
            return None
        now = self._clock.monotonic()
        if since is not None and now - since >= STALLED_SECONDS:
            self.instance.shun()
            raise stalled(self.instance.url)
        return now if since is None else since

    def _check_canary(self, began: float, frames: int) -> None:
        if not self._live or self._clock.monotonic() - began < CANARY_SECONDS:
            return
        self._live = False
        if self.instance.events.live and self.instance.events.frames == frames:
            self.instance.events.suspect()

    def _tell(self, watch: JobWatch, phase: str, position: int) -> None:
        fraction, preview = watch.fraction, watch.take_preview()
        node = self._workflow.title(watch.node)
        told = self._told
        same = (told.phase, told.queue_position, told.node) == (phase, position, node)
        if same and preview is None and fraction - told.fraction < LEAST_STEP:
            return
        self._told = RenderProgress(
            phase=phase,
            fraction=fraction,
            queue_position=position,
            instance=self.instance.url,
            node=node,
            remaining_seconds=watch.remaining_seconds(position),
            attempt=self._hand_in.attempt,
            preview=preview,
        )
        self._report(self._told)


async def look_twice(instance: Instance, prompt_id: str, clock: Clock) -> Look:
    """Look for a job until it is found, or was missing twice: what was sent may arrive late.

    Whatever is sent after that is not sent twice. Raises COMFY_LOST when the instance is away for
    longer than a job there is waited for.
    """
    refused_since: float | None = None
    absent = 0
    while True:
        try:
            look = await instance.look(prompt_id)
            absent += 1
            refused_since = None
            if look.state != "unknown" or absent == 2:
                return look
        except Unreachable as error:
            refused_since = _refused(instance, refused_since, error, clock)
        except Unanswered:
            refused_since = None
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _refused(instance: Instance, since: float | None, error: Unreachable, clock: Clock) -> float:
    now = clock.monotonic()
    patience_seconds = REFUSED_SECONDS if error.refused else AWAY_SECONDS
    if since is not None and now - since >= patience_seconds:
        raise lost(instance.url, "nobody listens there any more") from error
    return now if since is None else since


def _retrieve(sending: asyncio.Task[None]) -> None:
    # Nobody may be waiting any more when it fails.
    if not sending.cancelled():
        sending.exception()
