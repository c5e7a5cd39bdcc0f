"""All runs of this process: started once, bounded in number, ended truthfully."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from weakref import WeakValueDictionary

from services.kit.clock import Clock
from services.kit.deadline import no_deadline
from services.kit.errors import (
    ArtlabError,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from services.kit.ids import RunId
from services.kit.log import facts, run_logged
from services.orchestrator.domain.documents import is_retryable
from services.orchestrator.domain.plan import Plan, RunRequest, make_plan
from services.orchestrator.domain.repeats import options_sha256, require_same_request
from services.orchestrator.domain.run import EntityDraft, RecordedRun, RunError
from services.orchestrator.hints import HintSender
from services.orchestrator.input_images import (
    MAX_IN_MEMORY,
    InputImages,
    digest_of,
    not_expected,
    require_same,
    source_of,
)
from services.orchestrator.life import RECORDER_MARGIN_SECONDS, Life
from services.orchestrator.patience import patiently, recorder_may_recover
from services.orchestrator.pipeline import Pipeline
from services.orchestrator.run_in_work import RunInWork, Services

log = logging.getLogger(__name__)


class Supervisor:
    """Starts, counts and stops runs.

    Args:
        services: the peers.
        clock: time.
        max_runs: how many may be driven at once; more are refused.
        run_limit_seconds: how long one may take.
    """

    def __init__(
        self, services: Services, clock: Clock, *, max_runs: int, run_limit_seconds: float
    ) -> None:
        self._services = services
        self._clock = clock
        self._max_runs = max_runs
        self._limit = run_limit_seconds
        self._active: dict[RunId, Life] = {}
        self._starting: WeakValueDictionary[RunId, asyncio.Lock] = WeakValueDictionary()
        # Starts that have a place but no run in work yet, and the beginnings of runs that exist.
        self._admitted: set[RunId] = set()
        self._beginnings: dict[RunId, asyncio.Task[None]] = {}
        self._draining = False
        self._places = asyncio.Semaphore(MAX_IN_MEMORY)

    async def start(self, request: RunRequest) -> RunId:
        """Plan, create and start a run; the same request again changes nothing.

        Raises what the plan raises, AlreadyExists REQUEST_ID_REUSED, ResourceExhausted
        TOO_MANY_RUNS, Unavailable DRAINING.
        """
        lock = self._starting.setdefault(request.run_id, asyncio.Lock())
        async with lock:
            await self._start(request)
        return request.run_id

    async def cancel(self, run_id: RunId) -> None:
        """Stop a run and wait until it is final. Raises NotFound for an unknown one."""
        active = self._active.get(run_id)
        if active is not None:
            active.stop("cancelled", None)
            await active.ended.wait()
        run = await self._services.recorder.get_run(run_id)
        if not run.is_final:
            # Whoever drove it is gone, or could not end it.
            await self._services.recorder.finalize_run(run_id, "cancelled", None)

    async def add_input_image(
        self, run_id: RunId, index: int, chunks: AsyncIterator[bytes]
    ) -> None:
        """Give a run a picture it waits for; the same again changes nothing.

        Raises NotFound for an unknown run, and what `InputImages.take` raises.
        """
        active = self._active.get(run_id)
        if active is not None:
            await active.input_images.take(index, chunks)
            if active.input_images.is_refused:
                await active.ended.wait()
            return
        run = await self._services.recorder.get_run(run_id)
        known = source_of(run.entities, index)
        if known is None:
            raise not_expected()
        require_same(known, await digest_of(chunks))

    async def drain(self) -> None:
        """Take no more runs and end those in work as failed, to be started again."""
        self._draining = True
        error = RunError("ORCHESTRATOR_STOPPED", "the orchestrator was told to stop", 0, True)
        for active in self._active.values():
            active.stop("failed", error)
        for active in list(self._active.values()):
            await active.ended.wait()

    async def _start(self, request: RunRequest) -> None:
        if self._draining:
            raise _draining()
        run_id = request.run_id
        begun = self._beginnings.get(run_id)
        if begun is not None:
            # By a call that was cut; it goes on, and what comes of it counts.
            await asyncio.wait({begun})
        known = await self._known(run_id)
        if known is not None:
            require_same_request(request, known)
            if run_id in self._active or known.state != "pending":
                return
            # The catalogue may have changed; the record says what was planned.
            request = replace(
                request, output_configs=known.output_configs, level=known.level, seed=known.seed
            )
        if len(self._admitted | self._active.keys()) >= self._max_runs:
            raise ResourceExhausted(
                "TOO_MANY_RUNS",
                f"{self._max_runs} runs are in work; try again soon",
                retry_after_seconds=5.0,
            )
        self._admitted.add(run_id)
        try:
            plan = await self._plan(request)
        except BaseException:
            self._admitted.discard(run_id)
            raise
        # From here on the run exists, or may: it is begun whether its caller stays or not.
        with no_deadline(), run_logged(str(run_id)):
            begun = asyncio.create_task(
                self._begin(plan, is_new=known is None), name=f"begin {run_id}"
            )
        self._beginnings[run_id] = begun
        begun.add_done_callback(lambda task: self._has_begun(run_id, task))
        await asyncio.shield(begun)

    async def _begin(self, plan: Plan, *, is_new: bool) -> None:
        try:
            if is_new:
                await self._create(plan)
            await self._record_input(plan)
        except ArtlabError as error:
            if error.reason == "RUN_FINAL":
                return  # cancelled meanwhile: the record says so
            if not recorder_may_recover(error):
                await self._give_up(plan.run_id, error)
            raise
        if self._draining:
            raise _draining()
        await self._drive(plan)

    def _has_begun(self, run_id: RunId, task: asyncio.Task[None]) -> None:
        self._admitted.discard(run_id)
        del self._beginnings[run_id]
        if not task.cancelled() and task.exception() is not None:
            # Its caller may be gone.
            log.info("run not begun", extra=facts(run=str(run_id)))

    async def _create(self, plan: Plan) -> None:
        deadline = self._clock.now() + timedelta(seconds=self._limit + RECORDER_MARGIN_SECONDS)
        await self._patiently(lambda: self._services.recorder.create_run(plan, "", deadline))

    async def _give_up(self, run_id: RunId, error: ArtlabError) -> None:
        why = RunError(error.reason, error.message, 0, is_retryable(error))
        try:
            await self._services.recorder.finalize_run(run_id, "failed", why)
        except NotFound:
            pass  # it was never created
        except ArtlabError as problem:
            # Nobody drives it: the recorder ends it at its deadline.
            log.error("run stays open", extra=facts(run=str(run_id), reason=problem.reason))

    async def _patiently(self, call: Callable[[], Awaitable[object]]) -> None:
        patience = self._services.recorder_patience_seconds
        await patiently(call, patience, self._clock, recorder_may_recover)

    async def _known(self, run_id: RunId) -> RecordedRun | None:
        try:
            return await self._services.recorder.get_run(run_id)
        except NotFound:
            return None

    async def _plan(self, request: RunRequest) -> Plan:
        try:
            async with asyncio.TaskGroup() as group:
                recipe = group.create_task(self._services.interception.recipe(request.config_name))
                catalogue = group.create_task(self._services.media.catalogue())
                policy = group.create_task(self._services.safety.policy())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        return make_plan(request, recipe.result(), catalogue.result(), policy.result())

    async def _record_input(self, plan: Plan) -> None:
        # Before the start is acknowledged, so that an accepted idea is never lost.
        texts = {"input": plan.request.input_text, "context": plan.request.context}
        options = options_sha256(plan.request)
        for name, text in texts.items():
            if text:
                draft = EntityDraft(
                    upload_id=name,
                    type=name,
                    data=text.encode(),
                    stage=0,
                    audience="student",
                    started=self._clock.now(),
                    duration=timedelta(0),
                    metadata={"options_sha256": options} if options and name == "input" else {},
                )
                await self._patiently(partial(self._services.recorder.record, plan.run_id, draft))

    async def _drive(self, plan: Plan) -> None:
        hints = HintSender(plan.run_id, self._services.recorder)
        run = RunInWork(plan, self._services, hints, self._clock)
        pipeline = Pipeline(run, InputImages(run, self._places))
        life = Life(pipeline, self._clock, self._limit)
        with no_deadline(), run_logged(str(plan.run_id)):
            life.own(
                asyncio.create_task(self._live(plan.run_id, life, hints), name=f"run {plan.run_id}")
            )
        self._active[plan.run_id] = life
        # A task cancelled before its first step would never say that the run ended.
        await asyncio.sleep(0)

    async def _live(self, run_id: RunId, life: Life, hints: HintSender) -> None:
        log.info("run begins")
        forwarding = asyncio.create_task(hints.forward())
        try:
            await life.live()
        finally:
            del self._active[run_id]
            life.ended.set()
            forwarding.cancel()
            await asyncio.wait([forwarding])
        log.info("run ended")


def _draining() -> Unavailable:
    return Unavailable("DRAINING", "the orchestrator stops")
