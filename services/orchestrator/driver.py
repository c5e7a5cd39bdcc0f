"""Driving: runs come from the queue, one a seat, and are carried on from wherever they stand."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import replace
from functools import partial

from services.kit.clock import Clock
from services.kit.deadline import no_deadline
from services.kit.errors import ArtlabError, FailedPrecondition
from services.kit.ids import RunId
from services.kit.log import facts, run_logged
from services.orchestrator.claims import Claim, ClaimLost
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.questions import decision_on
from services.orchestrator.ending import Endings
from services.orchestrator.held_media import HeldMedia
from services.orchestrator.hints import HintSender
from services.orchestrator.input_images import MAX_IN_MEMORY, InputImages
from services.orchestrator.life import RECORDER_MARGIN_SECONDS, Left, Life
from services.orchestrator.loading import Gone, Hopeless, Loaded, Unfinished, load
from services.orchestrator.patience import patiently, recorder_may_recover
from services.orchestrator.pipeline import Pipeline
from services.orchestrator.ports import Recorder
from services.orchestrator.queue.port import ClaimedRun, RunQueue
from services.orchestrator.run_in_work import Parked, RunInWork, Services

log = logging.getLogger(__name__)

# After something that should not happen; others may be luckier.
FAILED_PAUSE_SECONDS = 1.0
# Plans of runs that were created here and not driven yet; others are read back.
PLANS_KEPT = 200


class Driver:
    """Drives the runs of this process.

    Args:
        services: the peers.
        clock: time.
        queue: where runs come from.
        claim: of this process.
        seats: how many runs it drives at once.
        run_limit_seconds: how long one may be driven.
    """

    def __init__(
        self,
        services: Services,
        clock: Clock,
        queue: RunQueue,
        claim: Claim,
        *,
        seats: int,
        run_limit_seconds: float,
    ) -> None:
        self._services = services
        self._clock = clock
        self._queue = queue
        self._claim = claim
        self._limit = run_limit_seconds
        self._total = seats
        self._seats = asyncio.Semaphore(seats)
        self._endings = Endings(services.recorder, services.media, claim)
        self._lives: dict[RunId, Life] = {}
        self._driving: dict[RunId, asyncio.Task[None]] = {}
        # Claimed by a start that is not through yet.
        self._promised: set[RunId] = set()
        self._plans: OrderedDict[RunId, tuple[Plan, int]] = OrderedDict()
        self._places = asyncio.Semaphore(MAX_IN_MEMORY)
        self._draining = False

    @property
    def places(self) -> asyncio.Semaphore:
        """Held while a prepared picture is in memory."""
        return self._places

    @property
    def room(self) -> int:
        """How many more runs could be driven now."""
        taken = len(self._driving.keys() | self._promised)
        return 0 if self._draining else max(0, self._total - taken)

    def life(self, run_id: RunId) -> Life | None:
        """The run's life, when it is driven here."""
        return self._lives.get(run_id)

    def promise(self, run_id: RunId) -> None:
        """Keep a seat for a run that is being created."""
        self._promised.add(run_id)

    def unpromise(self, run_id: RunId) -> None:
        """Keep it no longer; nothing when it is taken."""
        self._promised.discard(run_id)

    def expect(self, plan: Plan, epoch: int) -> None:
        """Remember the plan of a run created under this epoch; it need not be read back."""
        self._plans[plan.run_id] = plan, epoch
        while len(self._plans) > PLANS_KEPT:
            self._plans.popitem(last=False)

    async def drive(self) -> None:
        """Take runs and drive them until `hand_over`."""
        await self._seats.acquire()
        async for claimed in self._queue.claims():
            run_id = claimed.run_id
            before = self._driving.get(run_id)
            with no_deadline(), run_logged(str(run_id)):
                task = asyncio.create_task(self._one(claimed, before), name=f"run {run_id}")
            self._driving[run_id] = task
            self._promised.discard(run_id)
            task.add_done_callback(partial(self._left, run_id))
            await self._seats.acquire()

    async def hand_over(self) -> None:
        """Take no more runs, and leave those in work to others. No run ends by it."""
        self._draining = True
        await self._queue.aclose()
        for life in self._lives.values():
            life.hand_over()
        while self._driving:
            await asyncio.wait(list(self._driving.values()))

    def _left(self, run_id: RunId, task: asyncio.Task[None]) -> None:
        if self._driving.get(run_id) is task:
            del self._driving[run_id]
        self._seats.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("driving failed", exc_info=error)

    async def _one(self, claimed: ClaimedRun, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            # Lost and claimed again before it was left: there is one driver of a run at a time.
            await asyncio.wait([before])
        if self._draining:
            await claimed.release()
            return
        try:
            await self._carry(claimed)
        except ClaimLost:
            log.info("run is somebody else's")
        except ArtlabError as error:
            # The recorder is away, or says something new: whoever is luckier goes on.
            log.warning("run not driven", extra=facts(reason=error.reason))
            await claimed.release(FAILED_PAUSE_SECONDS)
        except Exception as error:
            log.error("run not driven", exc_info=error)
            await claimed.release(FAILED_PAUSE_SECONDS)

    async def _carry(self, claimed: ClaimedRun) -> None:
        plan, epoch = self._plans.pop(claimed.run_id, (None, 0))
        # Under another epoch somebody else may have begun it.
        is_new = plan is not None and epoch == claimed.epoch
        found = Loaded(plan, None) if plan is not None and is_new else await self._load(claimed)
        match found:
            case Gone():
                await claimed.done()
            case Unfinished(seconds):
                await claimed.release(seconds)
            case Hopeless(run, why):
                log.warning("ending a run", extra=facts(reason=why.reason))
                await self._endings.end(run, claimed.epoch, "failed", why)
                await claimed.done()
            case Loaded():
                await self._live(claimed, found)

    async def _load(self, claimed: ClaimedRun) -> Loaded | Unfinished | Hopeless | Gone:
        return await patiently(
            lambda: load(self._services.recorder, claimed.run_id, claimed.epoch, self._clock.now()),
            self._services.recorder_patience_seconds,
            self._clock,
            recorder_may_recover,
        )

    async def _live(self, claimed: ClaimedRun, loaded: Loaded) -> None:
        run_id, epoch = claimed.run_id, claimed.epoch
        recorder = self._services.recorder.under(epoch)
        media = HeldMedia(self._services.media, recorder, self._claim, epoch)
        services = replace(self._services, recorder=recorder, media=media)
        hints = HintSender(run_id, recorder)
        run = RunInWork(loaded.plan, services, hints, self._clock, loaded.recorded, epoch)
        pipeline = Pipeline(run, InputImages(run, self._places))
        life = Life(pipeline, self._clock, self._seconds(loaded))
        task = asyncio.current_task()
        assert task is not None
        life.own(task)
        self._lives[run_id] = life
        log.info("run begins" if loaded.recorded is None else "run goes on")
        forwarding = asyncio.create_task(hints.forward())
        watching = asyncio.create_task(_watch(claimed, life))
        try:
            left = await life.live()
        finally:
            if self._lives.get(run_id) is life:
                del self._lives[run_id]
            forwarding.cancel()
            watching.cancel()
            await asyncio.wait([forwarding, watching])
            life.ended.set()
        await self._leave(claimed, left, run)

    async def _leave(self, claimed: ClaimedRun, left: Left | Parked, run: RunInWork) -> None:
        match left:
            case Left.FINAL:
                log.info("run ended")
                await claimed.done()
            case Left.OPEN:
                log.info("run handed over")
                await claimed.release()
            case Left.LOST:
                log.info("run is somebody else's")
            case Parked(seconds):
                log.info("run waits for a person", extra=facts(seconds=seconds))
                await claimed.release(seconds)
                await self._look_for_answer(claimed, run)

    async def _look_for_answer(self, claimed: ClaimedRun, run: RunInWork) -> None:
        # An answer that came while the run was driven found it in work, and woke nobody. What
        # counts is what the waiting steps saw: the record may have been read again since.
        recorder = self._services.recorder
        now = await patiently(
            lambda: recorder.get_run(claimed.run_id),
            self._services.recorder_patience_seconds,
            self._clock,
            recorder_may_recover,
        )
        if any(decision_on(now.entities, question) is not None for question in run.awaited):
            await wake(recorder, self._queue, self._claim, now.run_id, now.user_id)

    def _seconds(self, loaded: Loaded) -> float:
        # Who drove it before has used up some of its time.
        if loaded.recorded is None or loaded.recorded.deadline is None:
            return self._limit
        left = (loaded.recorded.deadline - self._clock.now()).total_seconds()
        return max(0.1, min(self._limit, left - RECORDER_MARGIN_SECONDS))


async def wake(
    recorder: Recorder, queue: RunQueue, claim: Claim, run_id: RunId, user_id: str
) -> None:
    """Have a run driven now, also when it rests; nothing when somebody drives it.

    Raises ArtlabError.
    """
    try:
        answer = await recorder.claim(run_id, claim)
        if not answer.epoch and answer.retry_after_seconds > claim.ttl_seconds:
            # Nobody's claim holds so long: it rests.
            answer = await recorder.claim(run_id, claim, force=True)
    except FailedPrecondition as error:
        if error.reason != "RUN_FINAL":
            raise
        return
    if answer.epoch:
        await queue.submit(run_id, user_id, epoch=answer.epoch)


async def _watch(claimed: ClaimedRun, life: Life) -> None:
    await claimed.lost()
    life.lose()
