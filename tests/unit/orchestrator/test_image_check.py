"""After the picture: it is looked at before its output is final, and a no takes it away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from services.kit.errors import FailedPrecondition, Internal, ResourceExhausted, Unavailable
from services.kit.ids import RunId
from services.orchestrator.domain.plan import RunRequest
from services.orchestrator.domain.run import (
    EntityDraft,
    ImageVerdict,
    Level,
    OutputOffer,
    Recipe,
    RecordedEntity,
    RenderPreview,
    RenderProgress,
    RenderWarning,
)
from services.orchestrator.ports import Position, PreviewHint
from services.orchestrator.run_in_work import Services
from services.orchestrator.supervisor import Supervisor
from tests.fakes.peers import FakeInterception, FakeMedia, FakeRecorder, FakeSafety
from tests.support.eventually import eventually
from tests.support.supervised import supervise

RUN = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")
DADA = Recipe("dada", 1, True, True, False, (), "image")
OFFERS = (
    OutputOffer("a", "image", available=True),
    OutputOffer("b", "image", available=True),
    OutputOffer("film", "video", available=True),
    OutputOffer("sound", "audio", available=True),
)
CHECKED: frozenset[Level] = frozenset({"kids", "youth"})


@dataclass
class Stage:
    """A supervisor among fake peers; at this level pictures are checked."""

    recorder: FakeRecorder
    safety: FakeSafety
    media: FakeMedia
    supervisor: Supervisor

    async def run(self, *outputs: str, level: Level | None = None) -> str:
        request = RunRequest(RUN, "dada", "Blume", "anna", output_configs=outputs, level=level)
        await self.supervisor.start(request)
        await eventually(lambda: self.recorder.runs[RUN].is_final)
        return self.recorder.state(RUN)

    def patient(self, seconds: float) -> None:
        """Wait so long for peers that are away, from the next run on."""
        services = Services(
            self.recorder, self.safety, FakeInterception(DADA), self.media, patience_seconds=seconds
        )
        self.supervisor = supervise(services)

    def made(self, index: int = 1) -> list[int]:
        entities = self.recorder.runs[RUN].entities
        return [
            one.sequence
            for one in entities
            if one.output_index == index and one.type.startswith("output_")
        ]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    recorder, media = FakeRecorder(), FakeMedia(offers=OFFERS)
    safety = FakeSafety(image_check_levels=CHECKED)
    media.into, media.writes = recorder, (("image/png", b"flower"),)
    services = Services(recorder, safety, FakeInterception(DADA), media, patience_seconds=0.0)
    supervisor = supervise(services, max_runs=4, run_limit_seconds=30.0)
    made = Stage(recorder, safety, media, supervisor)
    yield made
    await made.supervisor.drain()


async def test_a_picture_is_looked_at_before_its_output_is_final(stage: Stage) -> None:
    assert await stage.run("a") == "succeeded"
    assert stage.safety.looked_at == [("image", "image/png", b"flower")]
    assert stage.recorder.steps[-2:] == [(4, "media_generation", 1), (4, "image_check", 1)]
    [verdict] = [d for d in stage.recorder.drafts if d.type == "safety_image"]
    assert (verdict.stage, verdict.output_index, verdict.audience) == (4, 1, "research")
    document = json.loads(verdict.data)
    assert document["decision"] == "safe"
    assert document["verdicts"][0]["entity"] == stage.made()[0]
    assert stage.recorder.erased == []


async def test_a_refused_picture_is_erased_and_explained(stage: Stage) -> None:
    stage.media.writes = (("image/png", b"flower"), ("image/png", b"verboten"), ("image/png", b"x"))
    assert await stage.run("a") == "blocked"
    state, error = stage.recorder.outputs[1]
    assert (state, error and error.reason, error and error.stage) == (
        "blocked",
        "SAFETY_BLOCKED",
        4,
    )
    # The output is refused as a whole: nobody may see the others either.
    assert stage.recorder.erased == [(one, "SAFETY_BLOCKED") for one in stage.made()]
    explanation = stage.recorder.drafts[-1]
    assert (explanation.type, explanation.audience) == ("explanation", "student")
    assert (explanation.stage, explanation.output_index) == (4, 1)
    assert json.loads(explanation.data)["explanation"] == "Das geht hier nicht."


async def test_refused_bytes_go_also_when_the_verdict_cannot_be_recorded(stage: Stage) -> None:
    stage.media.writes = (("image/png", b"verboten"),)
    record = stage.recorder.record_all

    async def full(
        run_id: RunId, drafts: Sequence[EntityDraft], then: Position | None = None
    ) -> list[RecordedEntity]:
        if drafts[0].type == "safety_image":
            raise ResourceExhausted("STORAGE_FULL", "no room")
        return await record(run_id, drafts, then)

    stage.recorder.record_all = full  # type: ignore[method-assign]
    assert await stage.run("a") == "failed"
    assert stage.recorder.erased == [(one, "SAFETY_BLOCKED") for one in stage.made()]


async def test_refused_bytes_go_also_when_the_run_is_stopped_just_then(stage: Stage) -> None:
    stage.media.writes = (("image/png", b"verboten"),)
    record, reached = stage.recorder.record_all, asyncio.Event()

    async def stuck(
        run_id: RunId, drafts: Sequence[EntityDraft], then: Position | None = None
    ) -> list[RecordedEntity]:
        if drafts[0].type == "safety_image":
            reached.set()
            await asyncio.Event().wait()
        return await record(run_id, drafts, then)

    stage.recorder.record_all = stuck  # type: ignore[method-assign]
    await stage.supervisor.start(RunRequest(RUN, "dada", "Blume", "anna", output_configs=("a",)))
    await reached.wait()
    await stage.supervisor.cancel(RUN)
    assert stage.recorder.state(RUN) == "cancelled"
    assert stage.recorder.erased == [(one, "SAFETY_BLOCKED") for one in stage.made()]


async def test_blocked_bytes_stay_only_where_the_policy_keeps_them(stage: Stage) -> None:
    stage.safety.keep_blocked = True
    stage.media.writes = (("image/png", b"verboten"),)
    assert await stage.run("a") == "blocked"
    assert stage.recorder.erased == []


async def test_every_file_of_every_output_is_looked_at_and_a_no_ends_only_its_output(
    stage: Stage,
) -> None:
    stage.media.writes = (("image/png", b"one"), ("image/png", b"two"))
    assert await stage.run("a", "film") == "succeeded"
    assert [data for _, _, data in stage.safety.looked_at] == [b"one", b"two"] * 2


async def test_what_is_not_seen_is_not_looked_at(stage: Stage) -> None:
    stage.media.writes = (("audio/flac", b"verboten"),)
    assert await stage.run("sound") == "succeeded"
    assert stage.safety.looked_at == []
    assert "safety_image" not in stage.recorder.runs[RUN].expected_entities


async def test_a_picture_among_sounds_is_looked_at(stage: Stage) -> None:
    stage.media.writes = (("audio/flac", b"song"), ("image/png", b"verboten"))
    assert await stage.run("sound") == "blocked"
    assert [media_type for _, media_type, _ in stage.safety.looked_at] == ["image/png"]


async def test_levels_without_the_check_ask_nobody(stage: Stage) -> None:
    stage.safety.level = "research"
    stage.media.writes = (("image/png", b"verboten"),)
    assert await stage.run("a", level="adult") == "succeeded"
    assert stage.safety.looked_at == []


@pytest.mark.parametrize(
    "failure",
    [
        Unavailable("SAFETY_UNAVAILABLE", "away"),
        Internal("SAFETY_PROTOCOL", "no decision"),
        FailedPrecondition("IMAGE_JUDGE_MISSING", "none"),
    ],
)
async def test_a_look_that_could_not_be_taken_fails_the_output(
    stage: Stage, failure: Unavailable
) -> None:
    stage.media.writes = (("image/png", b"one"), ("image/png", b"two"))
    stage.safety.image_failures = [failure]
    assert await stage.run("a", "b") == "partial"
    state, error = stage.recorder.outputs[1]
    assert (state, error and error.reason) == ("failed", failure.reason)
    # What was made stays for research; an output that failed is not served.
    assert stage.recorder.erased == []
    assert stage.recorder.outputs[2][0] == "succeeded"


async def test_a_look_is_taken_later_when_there_is_no_room_for_it_now(stage: Stage) -> None:
    await stage.supervisor.drain()
    stage.patient(10.0)
    stage.safety.image_failures = [
        ResourceExhausted("SPOOL_FULL", "no room"),
        ResourceExhausted("SAFETY_BUSY", "too many"),
        Unavailable("SAFETY_UNAVAILABLE", "away"),
    ]
    assert await stage.run("a") == "succeeded"
    [verdict] = [d for d in stage.recorder.drafts if d.type == "safety_image"]
    assert verdict.attempt == 4
    assert len(stage.media.jobs) == 1


async def test_a_verdict_stands_when_its_bytes_could_not_be_erased(stage: Stage) -> None:
    stage.media.writes = (("image/png", b"verboten"),)
    erase = stage.recorder.erase

    async def refuse(run_id: RunId, sequence: int, reason: str) -> None:
        stage.recorder.failures = [FailedPrecondition("STORAGE_ERROR", "the disk is ill")]
        await erase(run_id, sequence, reason)

    stage.recorder.erase = refuse  # type: ignore[method-assign]
    assert await stage.run("a") == "blocked"
    assert "explanation" in stage.recorder.types


async def test_a_run_cancelled_while_somebody_looks_shows_nothing(stage: Stage) -> None:
    looking = asyncio.Event()

    async def look(*_: Any, **__: Any) -> ImageVerdict:
        looking.set()
        await asyncio.Event().wait()
        raise AssertionError

    stage.safety.check_image = look  # type: ignore[method-assign]
    request = RunRequest(RUN, "dada", "Blume", "anna", output_configs=("a",))
    await stage.supervisor.start(request)
    await looking.wait()
    await stage.supervisor.cancel(RUN)
    assert stage.recorder.state(RUN) == "cancelled"
    assert stage.recorder.outputs[1][0] == "cancelled"


async def test_a_warning_that_cannot_be_recorded_ends_nothing_either(stage: Stage) -> None:
    stage.media.updates = (RenderWarning("DEADLINE_NEAR", "80 % of the time is used up"),)

    async def refuse(*_: Any, **__: Any) -> None:
        raise FailedPrecondition("STORAGE_ERROR", "the disk is ill")

    stage.recorder.warn = refuse  # type: ignore[method-assign]
    assert await stage.run("a") == "succeeded"


async def test_a_warning_of_a_job_is_recorded_and_ends_nothing(stage: Stage) -> None:
    warning = RenderWarning("DEADLINE_NEAR", "80 % of the time is used up")
    stage.media.updates = (RenderProgress("executing", 0.5), warning)
    assert await stage.run("a") == "succeeded"
    assert stage.recorder.warnings == [(1, warning)]


async def test_previews_are_shown_only_where_pictures_are_not_checked(stage: Stage) -> None:
    previews = tuple(RenderPreview("image/webp", bytes([n])) for n in range(3))
    stage.media.updates = previews
    stage.safety.level = "adult"
    assert await stage.run("a", level="youth") == "succeeded"
    assert not [hint for hint in stage.recorder.hints if isinstance(hint, PreviewHint)]
    stage.media.frozen = True
    other = RunId("528e5af9-59b3-4551-b101-27e13dd6e43f")
    await stage.supervisor.start(
        RunRequest(other, "dada", "Blume", "anna", output_configs=("a",), level="adult")
    )

    def shown() -> list[RenderPreview]:
        return [hint.preview for hint in stage.recorder.hints if isinstance(hint, PreviewHint)]

    await eventually(lambda: bool(shown()))
    # Only the newest is worth its way.
    assert shown() == [previews[-1]]
