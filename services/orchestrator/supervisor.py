"""Starting and stopping runs, in whichever process is asked; the queue finds who drives them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from services.kit.clock import Clock
from services.kit.deadline import no_deadline
from services.kit.errors import (
    AlreadyExists,
    ArtlabError,
    FailedPrecondition,
    Unavailable,
)
from services.kit.ids import RunId
from services.kit.log import facts, run_logged
from services.orchestrator.admission import Admission
from services.orchestrator.claims import CREATORS_EPOCH, Claim
from services.orchestrator.domain.lineage import Lineage
from services.orchestrator.domain.plan import Plan, RunRequest, make_plan
from services.orchestrator.domain.plan_document import plan_document, plan_of
from services.orchestrator.domain.repeats import require_same_request
from services.orchestrator.driver import Driver, wake
from services.orchestrator.ending import Endings, run_taken
from services.orchestrator.engine.definition import Definition
from services.orchestrator.images_elsewhere import take_elsewhere
from services.orchestrator.loading import is_started
from services.orchestrator.opening import Opening
from services.orchestrator.patience import recorder_may_recover
from services.orchestrator.ports import Created
from services.orchestrator.queue.port import RunQueue
from services.orchestrator.rerun import Reruns
from services.orchestrator.run_in_work import Services

log = logging.getLogger(__name__)


class _Planned(NamedTuple):
    """A run to come: its plan, that as it is recorded, a text in place of the intercepted one."""

    plan: Plan
    document: str
    text: str


class Supervisor:
    """Starts, wakes and stops runs.

    Args:
        services: the peers.
        clock: time.
        pipelines: by name.
        queue: brings runs to drivers.
        driver: of this process.
        admission: how many runs may be open.
        claim: of this process.
        run_limit_seconds: how long a run may be driven.
    """

    def __init__(
        self,
        services: Services,
        clock: Clock,
        pipelines: Mapping[str, Definition],
        *,
        queue: RunQueue,
        driver: Driver,
        admission: Admission,
        claim: Claim,
        run_limit_seconds: float,
    ) -> None:
        self._services = services
        self._clock = clock
        self._pipelines = pipelines
        self._queue = queue
        self._driver = driver
        self._admission = admission
        self._claim = claim
        self._opening = Opening(services, clock, run_limit_seconds)
        self._endings = Endings(services.recorder, services.media, claim)
        self._reruns = Reruns(services.recorder, clock, services.recorder_patience_seconds)
        self._starting: WeakValueDictionary[RunId, asyncio.Lock] = WeakValueDictionary()
        # The beginnings of runs that exist.
        self._beginnings: dict[RunId, asyncio.Task[Created | None]] = {}
        self._draining = False

    async def start(self, request: RunRequest) -> Created | None:
        """Plan, create and start a run; the same request again changes nothing.

        Returns what was created now, None for a run that was there. Raises what the plan raises,
        AlreadyExists REQUEST_ID_REUSED, ResourceExhausted TOO_MANY_RUNS or
        TOO_MANY_RUNS_OF_PERSON, Unavailable DRAINING.
        """
        lock = self._starting.setdefault(request.run_id, asyncio.Lock())
        async with lock:
            return await self._start(request)

    async def wake(self, run_id: RunId, user_id: str) -> None:
        """Have a run driven now, also one that rests; by others when no seat is free here.

        Raises ArtlabError.
        """
        if self._driver.room:
            await wake(self._services.recorder, self._queue, self._claim, run_id, user_id)
            return
        # Claimed here it would wait for a seat while others have one. An answer has ended its rest.
        await self._tell_queue(run_id, user_id)

    async def cancel(self, run_id: RunId) -> None:
        """Stop a run and wait until it is final, whoever drives it.

        Raises NotFound, Unavailable RUN_TAKEN.
        """
        life = self._driver.life(run_id)
        if life is not None:
            life.stop("cancelled", None)
            await life.ended.wait()
        run = await self._services.recorder.get_run(run_id)
        if not run.is_final:
            # It is driven elsewhere, or by nobody, or was lost just now.
            await self._endings.take_and_end(run_id, "cancelled", None)

    async def add_input_image(
        self, run_id: RunId, index: int, chunks: AsyncIterator[bytes]
    ) -> None:
        """Give a run a picture it waits for; the same again changes nothing.

        Raises NotFound for an unknown run, Unavailable RUN_TAKEN, and what `InputImages.take`
        raises.
        """
        life = self._driver.life(run_id)
        if life is None:
            await take_elsewhere(
                self._services, self._clock, self._driver.places, run_id, index, chunks
            )
            return
        try:
            await life.input_images.take(index, chunks)
        except FailedPrecondition as error:
            if not life.is_left:
                raise
            # It waits elsewhere now; who sends the picture again hears of it there.
            raise run_taken() from error
        if life.input_images.is_refused:
            await life.ended.wait()

    async def drain(self) -> None:
        """Take no more runs; leave those in work to others, and end none."""
        self._draining = True
        await self._driver.hand_over()

    async def _start(self, request: RunRequest) -> Created | None:
        if self._draining:
            raise _draining()
        run_id = request.run_id
        begun = self._beginnings.get(run_id)
        if begun is not None:
            # By a call that was cut; it goes on, and what comes of it counts.
            await asyncio.wait({begun})
        # Nearly every run is new, so that one is not asked for before it is made.
        try:
            planned = await self._plan_new(request)
        except ArtlabError as error:
            if error.reason == "RECORDER_UNAVAILABLE" or not await self._is_there(run_id):
                raise
            # What it was refused for concerns new runs only.
            return await self._begun(run_id, self._begin_again(request))
        return await self._begun(run_id, self._begin(request, planned))

    async def _begun(
        self, run_id: RunId, beginning: Coroutine[Any, Any, Created | None]
    ) -> Created | None:
        # From here on the run exists, or may: it is begun whether its caller stays or not.
        with no_deadline(), run_logged(str(run_id)):
            begun = asyncio.create_task(beginning, name=f"begin {run_id}")
        self._beginnings[run_id] = begun
        begun.add_done_callback(partial(self._has_begun, run_id))
        return await asyncio.shield(begun)

    async def _begin(self, request: RunRequest, planned: _Planned) -> Created | None:
        plan = planned.plan
        try:
            created = await self._create(plan, planned.document)
        except AlreadyExists:
            self._driver.unpromise(plan.run_id)
            self._admission.withdraw(request.user_id)
            await self._begin_again(request)
            return None
        try:
            await self._reruns.take_over(plan, planned.text)
        except ArtlabError as error:
            if error.reason == "RUN_FINAL":
                self._driver.unpromise(plan.run_id)
                return None  # cancelled meanwhile: the record says so
            if not recorder_may_recover(error):
                await self._opening.give_up(plan.run_id, error)
            raise
        if created.epoch == CREATORS_EPOCH and plan.lineage is None:
            # What goes on from another run has more recorded than its input: that is read back, as
            # is what others may have driven while the answer of the recorder was lost.
            self._driver.expect(plan, created.epoch)
        await self._tell_queue(plan.run_id, plan.request.user_id, created.epoch)
        if self._draining:
            raise _draining()
        return created if plan.lineage is None else None

    async def _begin_again(self, request: RunRequest) -> None:
        # The run is there: by this start sent again, or by another process that was asked as well.
        run_id = request.run_id
        known = await self._services.recorder.get_run(run_id, with_plan=True)
        require_same_request(request, known)
        if self._driver.life(run_id) is not None or known.state != "pending":
            return
        # The catalogue may have changed; the record says what was planned.
        plan = plan_of(known.plan, request.input_text, request.context)
        if is_started(plan, known):
            # It waits in line, and gets no further by being started again.
            await self._tell_queue(run_id, request.user_id)
            return
        request, _, text = await self._whole(request)
        plan = plan_of(known.plan, request.input_text, request.context)
        try:
            await self._opening.record_input(plan)
            await self._reruns.take_over(plan, text)
        except ArtlabError as error:
            if error.reason == "RUN_FINAL":
                return  # cancelled meanwhile: the record says so
            # Not given up: whoever began it may be about to do the same.
            raise
        await self._wake_cut(run_id, request.user_id)
        if self._draining:
            raise _draining()

    async def _tell_queue(self, run_id: RunId, user_id: str, epoch: int = 0) -> None:
        try:
            await self._queue.submit(run_id, user_id, epoch=epoch)
        except ArtlabError as error:
            # It is recorded, and found without being told of.
            log.info("queue not told", extra=facts(reason=error.reason))

    async def _wake_cut(self, run_id: RunId, user_id: str) -> None:
        # Somebody may have found it unfinished, and left it for a while.
        try:
            await self.wake(run_id, user_id)
        except ArtlabError as error:
            log.info("run not woken", extra=facts(reason=error.reason))

    def _has_begun(self, run_id: RunId, task: asyncio.Task[Created | None]) -> None:
        del self._beginnings[run_id]
        if task.cancelled() or task.exception() is not None:
            self._driver.unpromise(run_id)
            # Its caller may be gone.
            log.info("run not begun", extra=facts(run=str(run_id)))

    async def _create(self, plan: Plan, document: str) -> Created:
        claim = None
        if self._admission.has_line or not self._driver.room:
            self._admission.queued()
        else:
            # Driven here and at once: nobody need be told, and nobody else looks at it.
            self._driver.promise(plan.run_id)
            claim = self._claim
        created = await self._opening.create(plan, document, claim)
        if not created.epoch:
            self._driver.unpromise(plan.run_id)
        return created

    async def _is_there(self, run_id: RunId) -> bool:
        try:
            await self._services.recorder.get_run(run_id)
        except ArtlabError:
            return False  # or nobody can tell: then the first refusal counts
        return True

    async def _plan_new(self, request: RunRequest) -> _Planned:
        await self._admission.admit(request.user_id, self._driver.room)
        try:
            plan, text = await self._plan(request)
            return _Planned(plan, plan_document(plan), text)
        except BaseException:
            self._admission.withdraw(request.user_id)
            raise

    async def _whole(self, request: RunRequest) -> tuple[RunRequest, Lineage | None, str]:
        if request.rerun is None:
            return request, None, ""
        going_on = await self._reruns.resolve(request, request.rerun)
        return going_on.request, going_on.lineage, going_on.text

    async def _plan(self, request: RunRequest) -> tuple[Plan, str]:
        request, lineage, text = await self._whole(request)
        try:
            async with asyncio.TaskGroup() as group:
                recipe = group.create_task(self._services.interception.recipe(request.config_name))
                catalogue = group.create_task(self._services.media.catalogue())
                policy = group.create_task(self._services.safety.policy())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        plan = make_plan(
            request,
            recipe.result(),
            catalogue.result(),
            policy.result(),
            self._pipelines,
            lineage,
        )
        return plan, text


def _draining() -> Unavailable:
    return Unavailable("DRAINING", "the orchestrator stops")
