"""Whatever goes wrong and whoever interferes: a run gets its end, and only a true one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from services.kit.catalogue import CONFIGS
from services.kit.errors import (
    AlreadyExists,
    ArtlabError,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)
from services.kit.ids import RunId
from services.orchestrator.claims import Claim
from services.orchestrator.domain.outcome import End
from services.orchestrator.domain.plan import Plan, PlannedOutput, RunRequest, make_plan
from services.orchestrator.domain.plan_document import plan_document
from services.orchestrator.domain.run import (
    EntityDraft,
    FinalState,
    OutputCatalogue,
    OutputOffer,
    Policy,
    Recipe,
    RecordedEntity,
    RecordedRun,
    RunError,
)
from services.orchestrator.engine.loader import load_pipelines
from services.orchestrator.ports import Created, Position
from services.orchestrator.run_in_work import Services
from services.orchestrator.steps.table import FACTORIES
from services.orchestrator.supervisor import Supervisor
from tests.fakes.peers import FakeInterception, FakeMedia, FakeRecorder, FakeSafety
from tests.support.eventually import eventually
from tests.support.supervised import supervise

RUN = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")
REQUEST = RunRequest(RUN, "dada", "Eine Blume", "anonymous")
DADA = Recipe("dada", 1, True, True, False, (), "image")
AWAY = Unavailable("RECORDER_UNAVAILABLE", "recorder answered UNAVAILABLE")
FULL = ResourceExhausted("STORAGE_FULL", "the disk is full")


@dataclass
class ScriptedRecorder(FakeRecorder):
    """Raises the errors listed for a method, or for an entity type, before it works again."""

    script: dict[str, list[ArtlabError]] = field(default_factory=dict)
    gate: asyncio.Event | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)

    async def create_run(
        self,
        plan: Plan,
        document: str,
        deadline: datetime,
        claim: Claim | None = None,
        drafts: Sequence[EntityDraft] = (),
    ) -> Created:
        for draft in drafts:
            self._next(draft.type)
        created = await super().create_run(plan, document, deadline, claim, drafts)
        self._next("created")
        if self.gate is not None:
            self.entered.set()
            await self.gate.wait()
        return created

    async def record_all(
        self, run_id: RunId, drafts: Sequence[EntityDraft], then: Position | None = None
    ) -> list[RecordedEntity]:
        for draft in drafts:
            self._next(draft.type)
        return await super().record_all(run_id, drafts, then)

    async def finalize_output(
        self, run_id: RunId, output: PlannedOutput, state: FinalState, error: RunError | None
    ) -> FinalState:
        self._next(f"output {state}")
        return await super().finalize_output(run_id, output, state, error)

    async def finalize_run(
        self,
        run_id: RunId,
        state: FinalState,
        error: RunError | None,
        outputs: Sequence[tuple[PlannedOutput, End]] = (),
    ) -> RecordedRun:
        self._next("run")
        self._next(f"run {run_id}")
        return await super().finalize_run(run_id, state, error, outputs)

    def _next(self, what: str) -> None:
        if self.script.get(what):
            raise self.script[what].pop(0)


@dataclass
class Stage:
    """A supervisor among fake peers."""

    recorder: ScriptedRecorder
    media: FakeMedia
    interception: FakeInterception
    safety: FakeSafety
    supervisor: Supervisor

    async def final(self, run_id: RunId = RUN, seconds: float = 8.0) -> str:
        await eventually(lambda: self.recorder.runs[run_id].is_final, seconds, "the end")
        return self.recorder.state(run_id)


def _stage(
    recipe: Recipe = DADA, *, max_runs: int = 4, limit: float = 30.0, max_open: int = 100
) -> Stage:
    recorder, media, safety = ScriptedRecorder(), FakeMedia(), FakeSafety()
    interception = FakeInterception(recipe)
    services = Services(recorder, safety, interception, media)
    supervisor = supervise(
        services, max_runs=max_runs, run_limit_seconds=limit, max_open_runs=max_open
    )
    return Stage(recorder, media, interception, safety, supervisor)


class MuteMedia(FakeMedia):
    """Takes a cancel in and never answers."""

    async def cancel(self, run_id: RunId, output: PlannedOutput) -> None:
        await super().cancel(run_id, output)
        await asyncio.Event().wait()


def _mute(stage: Stage) -> None:
    stage.media = MuteMedia(frozen=True)
    stage.supervisor = supervise(
        Services(stage.recorder, stage.safety, stage.interception, stage.media),
        max_runs=4,
        run_limit_seconds=30.0,
    )


async def test_media_that_answers_no_cancel_does_not_keep_a_run_open() -> None:
    stage = _stage()
    _mute(stage)
    await stage.supervisor.start(REQUEST)
    await stage.media.started.wait()
    async with asyncio.timeout(5.0):
        await stage.supervisor.cancel(RUN)
    assert stage.recorder.state(RUN) == "cancelled"
    assert stage.media.cancelled == [1]


async def test_a_stop_of_the_process_is_not_held_up_by_media_and_leaves_its_jobs() -> None:
    stage = _stage()
    _mute(stage)
    await stage.supervisor.start(REQUEST)
    await stage.media.started.wait()
    async with asyncio.timeout(2.9):  # a drain has 3 s
        await stage.supervisor.drain()
    assert stage.recorder.state(RUN) == "running"
    assert stage.media.cancelled == []


async def test_an_error_that_cannot_be_recorded_still_ends_the_run() -> None:
    stage = _stage()
    stage.recorder.script = {"interception": [FULL], "error": [FULL]}
    await stage.supervisor.start(REQUEST)
    assert await stage.final() == "failed"
    assert stage.recorder.error is not None
    assert stage.recorder.error.reason == "STORAGE_FULL"


async def test_an_end_that_cannot_be_recorded_is_tried_again() -> None:
    stage = _stage()
    stage.recorder.script = {"run": [FULL, Internal("STORAGE_ERROR", "the disk answered EIO")]}
    await stage.supervisor.start(REQUEST)
    assert await stage.final() == "succeeded"


async def test_a_success_without_bytes_ends_as_failed() -> None:
    stage = _stage()
    missing = FailedPrecondition("OUTPUT_HAS_NO_ENTITY", "nothing was recorded")
    stage.recorder.script = {"output succeeded": [missing, missing, missing]}
    await stage.supervisor.start(REQUEST)
    assert await stage.final() == "failed"
    assert stage.recorder.outputs[1][0] == "failed"


async def test_a_run_waits_for_an_upload_that_still_ends() -> None:
    stage = _stage()
    still = FailedPrecondition("UPLOADS_OPEN", "an upload of this run is being written")
    stage.recorder.script = {"run": [still, still]}
    await stage.supervisor.start(REQUEST)
    assert await stage.final() == "succeeded"


async def test_a_job_whose_service_was_lost_is_stopped_before_the_run_ends() -> None:
    stage = _stage()
    stage.media.failing["builtin_image"] = Unavailable("MEDIA_UNAVAILABLE", "no answer")
    stage.supervisor = supervise(
        Services(stage.recorder, stage.safety, stage.interception, stage.media, 0.2),
        max_runs=4,
        run_limit_seconds=30.0,
    )
    await stage.supervisor.start(REQUEST)
    assert await stage.final() == "failed"
    assert stage.media.cancelled == [1]


async def test_a_cancel_while_a_run_is_ended_for_its_deadline_changes_nothing() -> None:
    stage = _stage(limit=0.2)
    stage.media.frozen = True
    stage.recorder.script = {"run": [AWAY, AWAY, AWAY]}
    await stage.supervisor.start(REQUEST)
    await eventually(lambda: len(stage.recorder.script["run"]) < 3)
    await stage.supervisor.cancel(RUN)
    assert stage.recorder.state(RUN) == "failed"
    assert stage.recorder.error is not None
    assert stage.recorder.error.reason == "RUN_DEADLINE"


async def test_a_recorder_that_is_slow_for_a_moment_costs_time_and_no_run() -> None:
    stage = _stage()
    slow = DeadlineExceeded("RECORDER_DEADLINE_EXCEEDED", "recorder answered DEADLINE_EXCEEDED")
    stage.recorder.script = {"interception": [slow], "run": [slow]}
    await stage.supervisor.start(REQUEST)
    assert await stage.final() == "succeeded"


async def test_an_output_recorded_as_succeeded_just_before_a_cancel_makes_the_run_succeed() -> None:
    stage = _stage()

    class LosesAnAnswer(ScriptedRecorder):
        async def finalize_output(
            self, run_id: RunId, output: PlannedOutput, state: FinalState, error: RunError | None
        ) -> FinalState:
            known = await super().finalize_output(run_id, output, state, error)
            if state == "succeeded" and not self.entered.is_set():
                self.entered.set()
                await asyncio.Event().wait()
            return known

    stage.recorder = LosesAnAnswer()
    stage.supervisor = supervise(
        Services(stage.recorder, stage.safety, stage.interception, stage.media),
        max_runs=4,
        run_limit_seconds=30.0,
    )
    await stage.supervisor.start(REQUEST)
    await stage.recorder.entered.wait()
    await stage.supervisor.cancel(RUN)
    assert stage.recorder.outputs[1][0] == "succeeded"
    assert stage.recorder.state(RUN) == "succeeded"


async def test_a_cancel_is_not_answered_while_the_run_is_open() -> None:
    stage = _stage()
    stage.media.frozen = True
    refused = FailedPrecondition("OUTPUTS_DISAGREE", "not what the outputs say")
    stage.recorder.script = {"run": [refused, refused]}
    await stage.supervisor.start(REQUEST)
    await stage.media.started.wait()
    with pytest.raises(FailedPrecondition, match="OUTPUTS_DISAGREE"):
        await stage.supervisor.cancel(RUN)
    await stage.supervisor.cancel(RUN)
    assert stage.recorder.state(RUN) == "cancelled"


async def test_a_service_that_has_no_room_is_asked_again_when_it_said() -> None:
    stage = _stage()
    stage.media.failures = [ResourceExhausted("MEDIA_BUSY", "full", retry_after_seconds=0.3)] * 2
    began = asyncio.get_running_loop().time()
    await stage.supervisor.start(REQUEST)
    assert await stage.final() == "succeeded"
    assert asyncio.get_running_loop().time() - began >= 0.6


# Starting


async def test_a_burst_of_starts_does_not_pass_the_limit() -> None:
    stage = _stage(max_runs=2, max_open=2)
    stage.media.frozen = True
    ids = [RunId.new() for _ in range(10)]
    answers = await asyncio.gather(
        *(stage.supervisor.start(replace(REQUEST, run_id=run_id)) for run_id in ids),
        return_exceptions=True,
    )
    assert sum(1 for one in answers if not isinstance(one, BaseException)) == 2
    assert len(stage.recorder.runs) == 2
    await stage.supervisor.drain()


async def test_a_place_is_free_again_when_a_start_failed() -> None:
    stage = _stage(max_runs=1)
    for _ in range(3):
        with pytest.raises(ArtlabError, match="CONFIG_NOT_FOUND"):
            await stage.supervisor.start(replace(REQUEST, config_name="nonsense"))
    await stage.supervisor.start(REQUEST)
    assert await stage.final() == "succeeded"


async def test_a_start_whose_caller_leaves_after_the_run_exists_goes_on() -> None:
    stage = _stage()
    stage.recorder.gate = asyncio.Event()
    caller = asyncio.create_task(stage.supervisor.start(REQUEST))
    await stage.recorder.entered.wait()
    caller.cancel()
    await asyncio.wait({caller})
    stage.recorder.gate.set()
    assert await stage.final() == "succeeded"


async def test_who_repeats_a_start_that_was_cut_joins_it() -> None:
    stage = _stage()
    stage.recorder.gate = asyncio.Event()
    caller = asyncio.create_task(stage.supervisor.start(REQUEST))
    await stage.recorder.entered.wait()
    caller.cancel()
    await asyncio.wait({caller})
    again = asyncio.create_task(stage.supervisor.start(REQUEST))
    await asyncio.sleep(0)
    stage.recorder.gate.set()
    await again
    assert await stage.final() == "succeeded"
    assert len(stage.media.made) == 1


async def test_a_run_whose_input_cannot_be_recorded_is_none() -> None:
    stage = _stage()
    stage.recorder.script = {"input": [FULL]}
    with pytest.raises(ResourceExhausted, match="STORAGE_FULL"):
        await stage.supervisor.start(REQUEST)
    assert stage.recorder.runs == {}


async def test_a_start_that_is_refused_ends_only_what_it_made_itself() -> None:
    stage = _stage()
    stage.media.frozen = True
    await stage.supervisor.start(REQUEST)
    await eventually(lambda: bool(stage.media.jobs))
    stage.recorder.failures = [InvalidArgument("MEDIA_TOO_LARGE", "too much")]
    with pytest.raises(InvalidArgument, match="MEDIA_TOO_LARGE"):
        await stage.supervisor.start(replace(REQUEST, input_text="Ein Baum", user_id="ben"))
    assert stage.recorder.state(RUN) == "running", "the other person's run goes on"
    await stage.supervisor.cancel(RUN)


async def test_a_run_that_was_made_though_its_start_was_refused_is_ended() -> None:
    stage = _stage()
    stage.recorder.script = {"created": [Internal("INTERNAL", "internal error")]}
    with pytest.raises(Internal):
        await stage.supervisor.start(REQUEST)
    assert stage.recorder.state(RUN) == "failed"


async def test_a_plan_that_is_too_large_says_nothing_of_a_run_that_is_there() -> None:
    stage = _stage()
    stage.media.frozen = True
    await stage.supervisor.start(REQUEST)
    stage.media.offers = tuple(
        OutputOffer(f"{n}_{'x' * 60}", "image", available=True, image_slots=("y" * 60_000,))
        for n in range(5)
    )
    names = tuple(offer.name for offer in stage.media.offers)
    large = replace(REQUEST, output_configs=names, input_images=1)
    with pytest.raises(AlreadyExists, match="REQUEST_ID_REUSED"):
        await stage.supervisor.start(large)
    other = RunId("528e5af9-59b3-4551-b101-27e13dd6e43f")
    with pytest.raises(FailedPrecondition, match="PLAN_TOO_LARGE"):
        await stage.supervisor.start(replace(large, run_id=other))
    assert stage.recorder.state(RUN) == "running"
    await stage.supervisor.cancel(RUN)


async def test_a_start_under_way_when_the_process_stops_is_told_so() -> None:
    stage = _stage()
    stage.recorder.gate = asyncio.Event()
    starting = asyncio.create_task(stage.supervisor.start(REQUEST))
    await stage.recorder.entered.wait()
    await stage.supervisor.drain()
    stage.recorder.gate.set()
    with pytest.raises(Unavailable, match="DRAINING"):
        await starting
    # Its successor drives it when the start is repeated.
    assert stage.recorder.state(RUN) == "pending"


async def test_the_same_id_with_rules_of_ones_own_added_is_refused() -> None:
    stage = _stage()
    await stage.supervisor.start(REQUEST)
    await stage.final()
    with pytest.raises(AlreadyExists, match="REQUEST_ID_REUSED"):
        await stage.supervisor.start(replace(REQUEST, context="nur Dreiecke"))


async def test_a_repeated_start_keeps_to_the_plan_that_is_recorded() -> None:
    stage = _stage()
    catalogue = OutputCatalogue(
        {"first": OutputOffer("first", "image", available=True)}, {("image", "eco"): ("first",)}
    )
    plan = make_plan(
        replace(REQUEST, seed=77),
        DADA,
        catalogue,
        Policy("kids"),
        load_pipelines(CONFIGS, FACTORIES),
    )
    # A start that was cut after that.
    await stage.recorder.create_run(plan, plan_document(plan), datetime.now(UTC))
    stage.media.offers = (OutputOffer("other", "image", available=True),)
    await stage.supervisor.start(REQUEST)
    # The driver may have looked before the input was there, and left it for a moment.
    stage.recorder.delays.clear()
    assert await stage.final() == "succeeded"
    assert [(config, seed) for _, config, _, seed in stage.media.made] == [("first", 77)]


# Texts


async def test_rules_and_what_a_pass_made_are_checked_where_they_meet() -> None:
    stage = _stage(replace(DADA, passes=3, translates_input=False))
    stage.interception.write = lambda *_: "boten Blume"
    stage.safety.forbidden = ("ver\nboten",)
    await stage.supervisor.start(replace(REQUEST, context="Male alles ver"))
    assert await stage.final() == "blocked"
    assert len(stage.interception.asked) == 1
