"""The opening of a run: it is created with what was typed; or it is given up."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

from services.kit.clock import Clock
from services.kit.errors import AlreadyExists, ArtlabError, NotFound
from services.kit.ids import RunId
from services.kit.log import facts
from services.orchestrator.claims import Claim
from services.orchestrator.domain.documents import is_retryable
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.question_config import waiting_seconds
from services.orchestrator.domain.repeats import options_sha256
from services.orchestrator.domain.run import EntityDraft, RunError
from services.orchestrator.life import RECORDER_MARGIN_SECONDS
from services.orchestrator.patience import patiently, recorder_may_recover
from services.orchestrator.ports import Created
from services.orchestrator.rerun import given_metadata
from services.orchestrator.run_in_work import Services

log = logging.getLogger(__name__)

# How long a run may stand in line before its own time begins to be used up.
QUEUE_SECONDS = 3600.0
# The recorder lets nothing be open for longer.
LONGEST = timedelta(days=30, hours=23)

T = TypeVar("T")


class Opening:
    """What a start writes; each of it may be repeated.

    Args:
        services: the peers.
        clock: time.
        run_limit_seconds: how long a run may be driven.
    """

    def __init__(self, services: Services, clock: Clock, run_limit_seconds: float) -> None:
        self._services = services
        self._clock = clock
        self._limit = run_limit_seconds

    async def create(self, plan: Plan, document: str, claim: Claim | None) -> Created:
        """Create the run, with what was typed and the person's own rules.

        `document` is the plan as it is recorded. Raises AlreadyExists REQUEST_ID_REUSED and what
        the recorder raises; then nothing of this start is left open.
        """
        recorder = self._services.recorder
        deadline, drafts = self._clock.now() + self._longest(plan), self._given(plan)
        try:
            return await self._patiently(
                lambda: recorder.create_run(plan, document, deadline, claim, drafts)
            )
        except AlreadyExists:
            raise
        except ArtlabError as error:
            if not recorder_may_recover(error):
                await self._give_up_if_made(plan.run_id, document, deadline, error)
            raise

    async def _give_up_if_made(
        self, run_id: RunId, document: str, deadline: datetime, error: ArtlabError
    ) -> None:
        # By a call whose answer was lost, say. A run of that id may as well be of another request.
        try:
            there = await self._services.recorder.get_run(run_id, with_plan=True)
        except ArtlabError:
            return  # it was never created, or the recorder ends it at its deadline
        if (there.plan, there.deadline) == (document, deadline):
            await self.give_up(run_id, error)

    async def record_input(self, plan: Plan) -> None:
        """Record the same into a run that may lack it, as one of an older version does."""
        # By nobody's claim, because a start may be repeated elsewhere.
        drafts = self._given(plan)
        if drafts:
            await self._patiently(lambda: self._services.recorder.record_all(plan.run_id, drafts))

    def _given(self, plan: Plan) -> list[EntityDraft]:
        texts = {"input": plan.request.input_text, "context": plan.request.context}
        drafts = []
        options = options_sha256(plan.request)
        for name, text in texts.items():
            if text:
                metadata = given_metadata(plan, name)
                if options and name == "input":
                    metadata["options_sha256"] = options
                draft = EntityDraft(
                    upload_id=name,
                    type=name,
                    data=text.encode(),
                    stage=0,
                    audience="student",
                    started=self._clock.now(),
                    duration=timedelta(0),
                    metadata=metadata,
                )
                drafts.append(draft)
        return drafts

    async def give_up(self, run_id: RunId, error: ArtlabError) -> None:
        """End a run that cannot be begun. Raises nothing."""
        why = RunError(error.reason, error.message, 0, is_retryable(error))
        try:
            await self._services.recorder.finalize_run(run_id, "failed", why)
        except NotFound:
            pass  # it was never created
        except ArtlabError as problem:
            # Nobody drives it: the recorder ends it at its deadline.
            log.error("run stays open", extra=facts(run=str(run_id), reason=problem.reason))

    def _longest(self, plan: Plan) -> timedelta:
        # How long a run may be open, in line and while people think included.
        asks = plan.request.pause_before_render
        flow, outputs = plan.pipeline.flow, len(plan.outputs)
        waits = waiting_seconds(flow, outputs, pause_before_render=asks)
        own = self._limit + RECORDER_MARGIN_SECONDS + QUEUE_SECONDS
        return min(timedelta(seconds=own + waits), LONGEST)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        patience = self._services.recorder_patience_seconds
        return await patiently(call, patience, self._clock, recorder_may_recover)
