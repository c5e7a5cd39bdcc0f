"""The queue of many replicas: JetStream brings runs that wait, the recorder says who drives them.

While the server is away, runs are found in the recorder's list as in the embedded queue. A run that
is claimed as it is created needs no message: should its driver die, the sweep puts it in.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import suppress
from typing import Any

from nats.aio.msg import Msg

from services.kit.clock import Clock
from services.kit.errors import ArtlabError, InvalidArgument, Unavailable
from services.kit.ids import RunId
from services.kit.log import facts
from services.orchestrator.claims import Claim, Claims
from services.orchestrator.queue.claiming import Claimer, Over, Refused
from services.orchestrator.queue.created import CreatedRuns
from services.orchestrator.queue.fair import in_turn
from services.orchestrator.queue.heart import Heart, HeldRun
from services.orchestrator.queue.stream import AWAY, RunStream
from services.orchestrator.queue.view import QueueView

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
# A message that was put in may be lost with the server's disk: it is put in again.
AGAIN_SECONDS = 5.0
LIST_SECONDS = 0.25
# A message whose run is not to be had now comes back after that at the latest.
LATER_SECONDS = 1.0
SOON_SECONDS = 0.1
SIGNS_PER_ACK = 3


class NatsQueue:
    """Implements queue.port.RunQueue.

    Args:
        stream: the messages.
        claims: the recorder.
        claim: this process.
        clock: time.
        view: what waits.
        expire_seconds: see `Heart`.
        sweep_seconds: how often to look for runs that have no message at most.
    """

    def __init__(
        self,
        stream: RunStream,
        claims: Claims,
        claim: Claim,
        clock: Clock,
        view: QueueView,
        *,
        expire_seconds: float = 0.0,
        sweep_seconds: float = SWEEP_SECONDS,
    ) -> None:
        self._stream = stream
        self._view = view
        self._clock = clock
        self._sweep_seconds = sweep_seconds
        self._sign_seconds = claim.ttl_seconds / SIGNS_PER_ACK
        self._heart = Heart(claims, claim, clock, expire_seconds)
        self._claimer = Claimer(claims, claim, self._heart, view)
        self._created = CreatedRuns(self._heart)
        self._messages: dict[HeldRun, Msg] = {}
        # When each run that waits was put in.
        self._put: dict[RunId, float] = {}
        self._fetching: asyncio.Task[Msg | None] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._wanted = False
        self._wake = asyncio.Event()
        self._closed = False

    async def submit(self, run_id: RunId, user_id: str, *, epoch: int = 0) -> None:
        """Have a run driven. Raises Unavailable QUEUE_UNAVAILABLE; it is found all the same."""
        if not epoch:
            if await self._stream.publish(run_id):
                self._put[run_id] = self._clock.monotonic()
            return
        await self._created.add(run_id, epoch)
        self._wake.set()

    async def claims(self) -> AsyncIterator[HeldRun]:
        """Yield runs to drive, each claimed; ask for the next one only when there is room."""
        tasks = [
            asyncio.create_task(self._heart.beat(), name="heartbeat"),
            asyncio.create_task(self._keep(), name="signs of life"),
            asyncio.create_task(self._sweep(), name="sweep"),
        ]
        try:
            while not self._closed:
                run = await self._next()
                if run is not None:
                    run.taken = True
                    yield run
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def aclose(self) -> None:
        """Give back what nobody has begun to drive, and end."""
        self._closed = True
        self._wake.set()
        await self._created.aclose()
        if self._fetching is not None:
            # At most a fetch; a message that comes with it is given back.
            await asyncio.wait([self._fetching])
        await asyncio.gather(*self._telling)
        await self._stream.aclose()

    # The next run

    async def _next(self) -> HeldRun | None:
        self._wake.clear()
        created = self._created.next()
        if created is not None:
            return created
        self._wanted = True
        try:
            message = await self._message()
        except Unavailable:
            return await self._without_server()
        except Exception as error:
            # A defect of the client, say. Runs are driven without it.
            log.error("queue failed", exc_info=error)
            return await self._without_server()
        finally:
            self._wanted = False
        if message is not None:
            return await self._take(message)
        if self._view.has_line and not self._created:
            # They wait, and no message came: the server hangs, or has just lost them.
            return await self._from_list()
        return None

    async def _message(self) -> Msg | None:
        # The fetch goes on while a run of our own is taken; a message nobody waits for goes back.
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._stream.fetch(), name="fetch a run")
            self._fetching.add_done_callback(self._fetched)
        waking = asyncio.create_task(self._wake.wait())
        try:
            fetching = self._fetching
            await asyncio.wait({fetching, waking}, return_when=asyncio.FIRST_COMPLETED)
            return fetching.result() if fetching.done() else None
        finally:
            waking.cancel()

    def _fetched(self, task: asyncio.Task[Msg | None]) -> None:
        self._fetching = None
        if self._wanted or task.cancelled() or task.exception() is not None:
            return
        message = task.result()
        if message is not None:
            self._background(self._later(message, 0.0))

    async def _take(self, message: Msg) -> HeldRun | None:
        try:
            run_id = RunId.parse(message.data.decode())
        except (InvalidArgument, UnicodeDecodeError):
            log.error("not a run in the queue")
            await _tell(message.term())
            return None
        try:
            # Messages come as they were put in, and people take turns.
            for sooner in await self._claimer.before(run_id, LIST_SECONDS):
                other = await self._claimer.claim(sooner.run_id, sooner.user_id)
                if isinstance(other, HeldRun):
                    await self._later(message, SOON_SECONDS)
                    return other
            user_id = self._view.user_of(run_id)
            run = await self._claimer.claim(run_id, user_id)
        except ArtlabError as error:
            log.info("cannot claim", extra=facts(reason=error.reason))
            await self._later(message, LATER_SECONDS)
            return None
        if isinstance(run, Over):
            await _tell(message.ack())
            return None
        if isinstance(run, Refused):
            # Never acknowledged while the run is open: its driver may die.
            await self._later(message, min(run.seconds, LATER_SECONDS))
            return None
        self._messages[run] = message
        run.on_gone(lambda delay: self._gone(run, delay))
        return run

    async def _from_list(self) -> HeldRun | None:
        try:
            return await self._claimer.next_in_line(LIST_SECONDS)
        except ArtlabError as error:
            log.info("cannot look for runs", extra=facts(reason=error.reason))
            return None

    async def _without_server(self) -> HeldRun | None:
        run = await self._from_list()
        if run is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
        return run

    # Messages

    async def _gone(self, run: HeldRun, delay: float | None) -> None:
        message = self._messages.pop(run, None)
        if message is None:
            return
        if delay == 0.0:
            await self._later(message, 0.0)
        else:
            # Final; or to rest: then the sweep puts it in when it may be claimed again, and whoever
            # wakes it before does not find its place taken.
            self._put.pop(run.run_id, None)
            await _tell(message.ack())

    async def _later(self, message: Msg, seconds: float) -> None:
        await _tell(message.nak(delay=seconds) if seconds else message.nak())

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._sign_seconds)
            for run, message in list(self._messages.items()):
                if not self._heart.holds(run.run_id):
                    self._messages.pop(run, None)
                elif self._heart.is_sure_of(run.run_id):
                    await _tell(message.in_progress())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._pause())
            try:
                await self._sweep_once()
            except ArtlabError as error:
                log.debug("sweep", extra=facts(reason=error.reason))
            except Exception as error:
                log.error("sweep failed", exc_info=error)

    async def _sweep_once(self) -> None:
        # Also while every seat is taken: runs that are started here are to be told of.
        await self._stream.connect()
        now = self._clock.monotonic()
        seen = await self._view.look(self._sweep_seconds / 2)
        waiting = [run.run_id for run in in_turn(seen)]
        there = set(waiting)
        self._put = {
            run_id: at
            for run_id, at in self._put.items()
            if run_id in there and now - at < AGAIN_SECONDS
        }
        for run_id in waiting:
            if run_id not in self._put and await self._stream.publish(run_id):
                self._put[run_id] = now

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def _pause(self) -> float:
        # With jitter, so that replicas that were started together do not look together.
        return self._sweep_seconds * random.uniform(0.5, 1.0)  # noqa: S311  # no secret


async def _tell(word: Awaitable[None]) -> None:
    # A word that is lost costs a delivery more: the claim decides.
    with suppress(*AWAY):
        await word
