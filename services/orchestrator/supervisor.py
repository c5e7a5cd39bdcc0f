"""All runs of this process: started once, bounded in number, ended truthfully."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from weakref import WeakValueDictionary

from services.kit.clock import Clock
from services.kit.deadline import no_deadline
from services.kit.errors import (
    AlreadyExists,
    ArtlabError,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from services.kit.ids import RunId
from services.kit.log import facts, run_logged
from services.orchestrator.domain.plan import Plan, RunRequest, make_plan
from services.orchestrator.domain.run import (
    EntityDraft,
    FinalState,
    RecordedRun,
    RunError,
)
from services.orchestrator.hints import HintSender
from services.orchestrator.patience import patiently
from services.orchestrator.pipeline import Pipeline
from services.orchestrator.run_in_work import RunInWork, Services

log = logging.getLogger(__name__)

STOP_SECONDS = 8.0
# The recorder ends a run by force this long after we should have.
RECORDER_MARGIN_SECONDS = 60.0


@dataclass(slots=True)
class _Active:
    pipeline: Pipeline
    task: asyncio.Task[None]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    # Why the task was cancelled; None while it runs by itself.
    stop_as: tuple[FinalState, RunError | None] | None = None


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
        self._active: dict[RunId, _Active] = {}
        self._starting: WeakValueDictionary[RunId, asyncio.Lock] = WeakValueDictionary()
        self._draining = False

    async def start(self, request: RunRequest) -> RunId:
        """Plan, create and start a run; the same request again changes nothing.

        Raises what the plan raises, AlreadyExists REQUEST_ID_REUSED, ResourceExhausted
        TOO_MANY_RUNS, Unavailable DRAINING.
        """
        lock = self._starting.setdefault(request.run_id, asyncio.Lock())
        async with lock:
            return await self._start(request)

    async def cancel(self, run_id: RunId) -> None:
        """Stop a run and wait until it is final. Raises NotFound for an unknown one."""
        active = self._active.get(run_id)
        if active is not None:
            self._stop(active, "cancelled", None)
            await active.ended.wait()
            return
        run = await self._services.recorder.get_run(run_id)
        if not run.is_final:
            # Whoever drove it is gone.
            await self._services.recorder.finalize_run(run_id, "cancelled", None)

    async def end_abandoned(self) -> None:
        """End the runs an earlier process left open: nobody drives them any more."""
        recorder, started = self._services.recorder, self._clock.now()
        with no_deadline():
            runs = await patiently(recorder.open_runs, float("inf"), self._clock)
            error = RunError("ORCHESTRATOR_RESTARTED", "the orchestrator restarted", 0, True)
            for run in runs:
                if run.run_id in self._active or run.created >= started:
                    continue
                log.warning("ending an abandoned run", extra=facts(run=str(run.run_id)))
                with suppress(NotFound):
                    await recorder.finalize_run(run.run_id, "failed", error)

    async def drain(self) -> None:
        """Take no more runs and end those in work as failed, to be started again."""
        self._draining = True
        error = RunError("ORCHESTRATOR_STOPPED", "the orchestrator was told to stop", 0, True)
        for active in self._active.values():
            self._stop(active, "failed", error)
        for active in list(self._active.values()):
            await active.ended.wait()

    async def _start(self, request: RunRequest) -> RunId:
        if self._draining:
            raise Unavailable("DRAINING", "the orchestrator stops")
        run_id = request.run_id
        known = await self._known(run_id)
        if known is not None:
            _require_same(request, known)
            if run_id in self._active or known.state != "pending":
                return run_id
        if len(self._active) >= self._max_runs:
            raise ResourceExhausted(
                "TOO_MANY_RUNS",
                f"{self._max_runs} runs are in work; try again soon",
                retry_after_seconds=5.0,
            )
        plan = await self._plan(request)
        if known is None:
            deadline = self._clock.now() + timedelta(seconds=self._limit + RECORDER_MARGIN_SECONDS)
            await self._services.recorder.create_run(plan, deadline)
        await self._record_input(plan)
        await self._drive(plan)
        return run_id

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
                level = group.create_task(self._services.safety.server_level())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        return make_plan(request, recipe.result(), catalogue.result(), level.result())

    async def _record_input(self, plan: Plan) -> None:
        # Before the start is acknowledged, so that an accepted idea is never lost.
        texts = {"input": plan.request.input_text, "context": plan.request.context}
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
                )
                await self._services.recorder.record(plan.run_id, draft)

    async def _drive(self, plan: Plan) -> None:
        hints = HintSender(plan.run_id, self._services.recorder)
        pipeline = Pipeline(RunInWork(plan, self._services, hints, self._clock))
        with no_deadline(), run_logged(str(plan.run_id)):
            task = asyncio.create_task(
                self._live(plan.run_id, pipeline, hints), name=f"run {plan.run_id}"
            )
        self._active[plan.run_id] = _Active(pipeline, task)
        # A task cancelled before its first step would never say that the run ended.
        await asyncio.sleep(0)

    async def _live(self, run_id: RunId, pipeline: Pipeline, hints: HintSender) -> None:
        # The one owner of a run: whatever happens, the run is final when this returns.
        log.info("run begins")
        forwarding = asyncio.create_task(hints.forward())
        try:
            await self._drive_to_end(run_id, pipeline)
        except (ArtlabError, TimeoutError) as error:
            # Only the recorder can fail here; it ends the run itself at its deadline.
            reason = error.reason if isinstance(error, ArtlabError) else "STOP_TIMEOUT"
            log.error("run could not be recorded", extra=facts(reason=reason))
        finally:
            active = self._active.pop(run_id)
            active.ended.set()
            forwarding.cancel()
            await asyncio.wait([forwarding])
        log.info("run ended")

    async def _drive_to_end(self, run_id: RunId, pipeline: Pipeline) -> None:
        try:
            async with asyncio.timeout(self._limit):
                await pipeline.drive()
        except TimeoutError:
            late = RunError("RUN_DEADLINE", f"took longer than {self._limit:g} s", 0, True)
            await pipeline.stop("failed", late)
        except asyncio.CancelledError:
            why = self._active[run_id].stop_as
            if why is None:
                raise
            async with asyncio.timeout(STOP_SECONDS):
                await pipeline.stop(*why)
        except ArtlabError:
            raise
        except Exception as error:
            log.error("run failed unexpectedly", exc_info=error)
            await pipeline.stop("failed", RunError("INTERNAL", "internal error", 0))

    def _stop(self, active: _Active, state: FinalState, error: RunError | None) -> None:
        if active.stop_as is None:
            active.stop_as = (state, error)
            active.task.cancel()


def _require_same(request: RunRequest, run: RecordedRun) -> None:
    digests = {entity.type: entity.sha256 for entity in run.entities}
    texts = {"input": request.input_text, "context": request.context}
    same = (
        run.config_name == request.config_name
        and run.user_id == request.user_id
        and run.mode == request.mode
        and request.level in (None, run.level)
        and request.seed in (None, run.seed)
        and request.output_configs in ((), run.output_configs)
        and all(
            name not in digests or hashlib.sha256(text.encode()).hexdigest() == digests[name]
            for name, text in texts.items()
        )
    )
    if not same:
        raise AlreadyExists(
            "REQUEST_ID_REUSED", "this id belongs to another request", field="request_id"
        )
