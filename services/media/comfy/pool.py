"""The instances as one pool: our own queue in front of them, and who goes where next.

ComfyUI's own queue is unfair, forgets everything at a restart and slows it down when it is long:
so an instance gets one job to run and one to wait, and all others wait here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from services.kit.clock import Clock
from services.kit.errors import ArtlabError, ResourceExhausted
from services.kit.fair_queue import FairQueue
from services.media.comfy.durations import UNKNOWN_SECONDS, Durations
from services.media.comfy.fitness import Fit, Fitness
from services.media.comfy.instance import Instance
from services.media.comfy.seats import Seat
from services.media.domain.workflow import Workflow

log = logging.getLogger(__name__)

TEND_SECONDS = 1.0
# How long a job waits when no instance is left that could make it.
RETURN_SECONDS = 60.0
BUSY_RETRY_SECONDS = (2.0, 60.0)
# Of a large model, from a disk.
LOADING_SECONDS = 15.0
# A job of ours that has just ended may still be counted among those of others.
MOST_FOREIGN = 1

Tell = Callable[[int], None]


class Waiter:
    """A job in our queue. `tell` gets the number of jobs before it whenever that changes."""

    def __init__(
        self, workflow: Workflow, suited: Sequence[Instance], tell: Tell, cause: ArtlabError | None
    ) -> None:
        self.workflow = workflow
        self.suited = suited
        self.cause = cause
        self.granted: asyncio.Future[tuple[Instance, Seat]] = (
            asyncio.get_running_loop().create_future()
        )
        # Since when no instance is left for it.
        self.alone_since: float | None = None
        self._tell = tell
        self._told: int | None = None

    def tell(self, place: int) -> None:
        """Say how many jobs are before it: here, and where it will most likely go."""
        position = place + min((instance.length for instance in self.suited), default=0)
        if position != self._told:
            self._told = position
            self._tell(position)


class Pool:
    """Gives out seats. Between `start` and `close`; `max_waiting` more jobs than seats at most."""

    def __init__(
        self, instances: Sequence[Instance], fitness: Fitness, clock: Clock, max_waiting: int
    ) -> None:
        self._instances = instances
        self._fitness = fitness
        self._clock = clock
        self._max_waiting = max_waiting
        self._queue: FairQueue[Waiter] = FairQueue()
        self._tending: asyncio.Task[None] | None = None
        self._durations = Durations(clock)
        for instance in instances:
            instance.seats.changed = partial(self._on_change, instance)

    @property
    def waiting(self) -> int:
        """Jobs that have no seat yet."""
        return len(self._queue)

    @property
    def is_full(self) -> bool:
        """Whether a job that finds no seat is turned away."""
        return len(self._queue) >= self._max_waiting

    def start(self) -> None:
        """Begin to look after the instances."""
        self._fitness.is_tended = True
        self._tending = asyncio.create_task(self._tend(), name="comfyui pool")

    async def close(self) -> None:
        """Stop looking after them."""
        if self._tending is not None:
            self._tending.cancel()
            with suppress(asyncio.CancelledError):
                await self._tending

    async def seat(
        self,
        workflow: Workflow,
        suited: Sequence[Instance],
        user_id: str,
        tell: Tell,
        *,
        again: bool = False,
        cause: ArtlabError | None = None,
    ) -> tuple[Instance, Seat]:
        """Wait for a seat; `again`: it had one and lost it without fault, so it comes first.

        Raises ResourceExhausted MEDIA_BUSY when the queue, or the person's half of it, is full;
        the cause, or what keeps the instances from it, when none is left for a minute.
        """
        waiter = Waiter(workflow, suited, tell, cause)
        if again:
            self._queue.put_back(waiter)
        else:
            self._queue.add(waiter, user_id)
        try:
            self.dispatch()
            if not waiter.granted.done() and not again:
                self._refuse_too_many(user_id)
            was_free = waiter.granted.done()
            instance, seat = await waiter.granted
            seat.was_waited_for = not was_free
            return instance, seat
        except BaseException:
            self._queue.remove(waiter)
            if waiter.granted.done() and not waiter.granted.cancelled():
                if waiter.granted.exception() is None:
                    waiter.granted.result()[1].release()
            self._tell()
            raise

    def dispatch(self) -> None:
        """Give free seats to those whose turn it is, and tell the others where they are."""
        if any(instance.has_room for instance in self._instances):
            for waiter in list(self._queue):
                instance = self._best(waiter)
                # Who has to wait for another instance keeps the place, and holds nobody up.
                if instance is not None and not waiter.granted.done():
                    self._queue.serve(waiter)
                    waiter.granted.set_result((instance, self.sit(instance, waiter.workflow)))
        self._tell()

    def set_draining(self, instance: Instance, draining: bool) -> None:
        """Give it no more jobs, and call back what waits there; or give it jobs again."""
        instance.draining = draining
        if draining:
            instance.seats.recall()
        self.dispatch()

    def sit(self, instance: Instance, workflow: Workflow) -> Seat:
        """Take a seat at an instance, also for a job that is there already."""
        instance.model = workflow.model or workflow.name
        instance.workflow = workflow.name
        seat = instance.seats.take(workflow.name)
        if instance.draining:
            # Found there, after a restart of ours: it goes elsewhere unless it has begun.
            seat.recalled.set()
        return seat

    def _best(self, waiter: Waiter) -> Instance | None:
        """Of those with room, the one that will have begun first.

        That is who has the model in memory and nothing to do, or one job that takes no longer
        than loading; else who has the shortest queue.
        """
        model = waiter.workflow.model or waiter.workflow.name

        def wait_seconds(instance: Instance) -> float:
            has_it = instance.model == model and instance.health.foreign <= MOST_FOREIGN
            ahead = instance.length * self._durations.usual_seconds(instance.workflow)
            return ahead + (0.0 if has_it else LOADING_SECONDS)

        free = [instance for instance in waiter.suited if instance.has_room]
        return min(free, key=wait_seconds, default=None)

    def _on_change(self, instance: Instance, seat: Seat) -> None:
        self._durations.see(seat)
        if seat.begun and not seat.released:
            instance.health.works()
        self.dispatch()

    def _tell(self) -> None:
        for place, waiter in enumerate(self._queue):
            waiter.tell(place)

    def _refuse_too_many(self, user_id: str) -> None:
        """Raise MEDIA_BUSY for a job too many: of all, or of one person, who gets half at most."""
        if len(self._queue) > self._max_waiting:
            raise self._busy(f"{self._max_waiting} jobs wait for a ComfyUI")
        most = max(1, self._max_waiting // 2)
        if user_id and self._queue.count(user_id) > most:
            raise self._busy(f"{most} jobs of this person wait for a ComfyUI")

    def _busy(self, message: str) -> ResourceExhausted:
        # One place gets free each time an instance finishes a job.
        least, most = BUSY_RETRY_SECONDS
        at_work = [one for one in self._instances if one.is_open and one.workflow]
        rate = sum(1 / max(self._durations.usual_seconds(one.workflow), least) for one in at_work)
        usual = 1 / rate if rate else UNKNOWN_SECONDS
        return ResourceExhausted(
            "MEDIA_BUSY",
            message,
            retry_after_seconds=min(max(usual, least), most),
        )

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_SECONDS)
            try:
                await self._look_after()
            except Exception as error:
                # One odd answer of one instance must not leave all others unattended.
                log.error("pool not looked after", exc_info=error)

    async def _look_after(self) -> None:
        await asyncio.gather(*(instance.health.check() for instance in self._instances))
        known: dict[object, Fit] = {}
        for waiter in list(self._queue):
            key = (waiter.workflow.name, waiter.workflow.models)
            if key not in known:
                known[key] = await self._fitness.of(waiter.workflow)
            self._refit(waiter, known[key])
        self.dispatch()

    def _refit(self, waiter: Waiter, fit: Fit) -> None:
        waiter.suited = fit.suited
        now = self._clock.monotonic()
        # One that is being looked after comes back, and the job has a deadline of its own.
        if fit.able or fit.is_drained:
            waiter.alone_since = None
            return
        if waiter.alone_since is None:
            waiter.alone_since = now
        is_over = now - waiter.alone_since >= RETURN_SECONDS
        if (is_over or not fit.may_return) and not waiter.granted.done():
            waiter.granted.set_exception(waiter.cause or fit.problem)
