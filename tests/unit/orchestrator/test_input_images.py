"""A run that waits for pictures: what is brought is made fit, checked, recorded, and used."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from services.kit.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from services.kit.ids import RunId
from services.orchestrator.domain.plan import RunRequest
from services.orchestrator.domain.run import ImageVerdict, Level, OutputOffer, Recipe
from services.orchestrator.input_images import MAX_IN_MEMORY
from services.orchestrator.run_in_work import Services
from services.orchestrator.supervisor import Supervisor
from tests.fakes.peers import FakeInterception, FakeMedia, FakeRecorder, FakeSafety
from tests.support.eventually import eventually
from tests.support.supervised import supervise

RUN = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")
DADA = Recipe("dada", 1, True, True, False, (), "image")
MORPH = OutputOffer("morph", "image", available=True, image_slots=("init", "style"))
REQUEST = RunRequest(RUN, "dada", "Eine Blume", "anna", output_configs=("morph",), input_images=2)
CHECKED: frozenset[Level] = frozenset({"kids", "youth"})


async def sent(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@dataclass
class Stage:
    """A supervisor among fake peers; at this level pictures are checked."""

    recorder: FakeRecorder
    safety: FakeSafety
    media: FakeMedia
    supervisor: Supervisor

    async def give(self, index: int, *chunks: bytes) -> None:
        await self.supervisor.add_input_image(RUN, index, sent(*chunks))

    async def final(self) -> str:
        await eventually(lambda: self.recorder.runs[RUN].is_final)
        return self.recorder.state(RUN)


def _stage(seconds: float = 30.0, patience: float = 30.0) -> Stage:
    recorder, media = FakeRecorder(), FakeMedia(offers=(MORPH,))
    safety = FakeSafety(image_check_levels=CHECKED)
    media.into, media.writes = recorder, (("image/png", b"flower"),)
    services = Services(
        recorder,
        safety,
        FakeInterception(DADA),
        media,
        patience_seconds=patience,
        input_image_seconds=seconds,
    )
    supervisor = supervise(services, max_runs=4, run_limit_seconds=30.0)
    return Stage(recorder, safety, media, supervisor)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = _stage()
    yield made
    await made.supervisor.drain()


async def test_a_run_begins_its_stages_once_it_has_all_its_pictures(stage: Stage) -> None:
    await stage.supervisor.start(REQUEST)
    await stage.give(2, b"two")
    assert stage.recorder.steps == [(1, "input_images", 0)]
    assert stage.recorder.state(RUN) == "running"
    await stage.give(1, b"o", b"ne")
    assert await stage.final() == "succeeded"
    recorded = {e.sequence: e for e in stage.recorder.runs[RUN].entities}
    [job] = stage.media.jobs
    # The first slot gets the first picture, whichever came first.
    found = {slot: recorded[sequence] for slot, sequence in job.input_images.items()}
    assert {slot: one.metadata["index"] for slot, one in found.items()} == {
        "init": "1",
        "style": "2",
    }
    assert stage.recorder.files[found["init"].sequence] == b"fit one"
    assert found["init"].metadata == {
        "index": "1",
        "width": "64",
        "height": "48",
        "source_sha256": hashlib.sha256(b"one").hexdigest(),
    }
    draft = next(d for d in stage.recorder.drafts if d.upload_id == "input-image-1")
    assert (draft.type, draft.stage, draft.audience) == ("input_image", 1, "student")


async def test_what_is_planned_is_what_is_recorded(stage: Stage) -> None:
    await stage.supervisor.start(REQUEST)
    await stage.give(1, b"one")
    await stage.give(2, b"two")
    await stage.final()
    planned = stage.recorder.runs[RUN].expected_entities
    assert sorted(e.type for e in stage.recorder.runs[RUN].entities) == sorted(planned)


async def test_every_picture_is_looked_at_before_it_is_recorded(stage: Stage) -> None:
    await stage.supervisor.start(REQUEST)
    await stage.give(1, b"one")
    assert stage.safety.looked_at == [("input_image", "image/png", b"fit one")]
    assert stage.recorder.types == ["input", "safety_image", "input_image"]
    verdict = next(d for d in stage.recorder.drafts if d.type == "safety_image")
    assert (verdict.stage, verdict.audience) == (1, "research")
    assert json.loads(verdict.data)["verdicts"][0]["purpose"] == "input_image"


async def test_a_refused_picture_ends_the_run_and_is_not_recorded(stage: Stage) -> None:
    await stage.supervisor.start(REQUEST)
    await stage.give(1, b"verboten")
    # The answer waits for the end it has caused.
    assert stage.recorder.state(RUN) == "blocked"
    assert stage.recorder.types == ["input", "safety_image", "explanation"]
    assert stage.recorder.error is not None
    assert (stage.recorder.error.reason, stage.recorder.error.stage) == ("SAFETY_BLOCKED", 1)
    assert stage.safety.languages == ["de"]
    assert stage.media.jobs == []
    # The same again is the same answer, another one is none.
    await stage.give(1, b"verboten")
    with pytest.raises(AlreadyExists, match="INPUT_IMAGE_DIFFERS"):
        await stage.give(1, b"another")


async def test_pictures_are_not_looked_at_where_the_policy_does_not_ask_for_it(
    stage: Stage,
) -> None:
    stage.safety.level = "adult"
    await stage.supervisor.start(replace(REQUEST, level="adult"))
    await stage.give(1, b"verboten")
    await stage.give(2, b"two")
    assert await stage.final() == "succeeded"
    assert stage.safety.looked_at == []
    assert "safety_image" not in stage.recorder.types


async def test_the_same_picture_again_changes_nothing(stage: Stage) -> None:
    await stage.supervisor.start(REQUEST)
    await asyncio.gather(stage.give(1, b"one"), stage.give(1, b"one"), stage.give(1, b"o", b"ne"))
    assert stage.recorder.types.count("input_image") == 1
    with pytest.raises(AlreadyExists, match="INPUT_IMAGE_DIFFERS"):
        await stage.give(1, b"another")
    await stage.give(2, b"two")
    assert await stage.final() == "succeeded"
    await stage.give(1, b"one")
    with pytest.raises(AlreadyExists, match="INPUT_IMAGE_DIFFERS"):
        await stage.give(2, b"one")
    assert stage.recorder.types.count("input_image") == 2


async def test_a_picture_nobody_waits_for_is_not_taken(stage: Stage) -> None:
    with pytest.raises(NotFound, match="RUN_NOT_FOUND"):
        await stage.give(1, b"one")
    await stage.supervisor.start(REQUEST)
    with pytest.raises(FailedPrecondition, match="INPUT_IMAGE_NOT_EXPECTED"):
        await stage.give(3, b"three")
    await stage.supervisor.cancel(RUN)
    with pytest.raises(FailedPrecondition, match="INPUT_IMAGE_NOT_EXPECTED"):
        await stage.give(1, b"one")


async def test_a_run_without_its_pictures_fails_in_time() -> None:
    stage = _stage(seconds=0.2)
    await stage.supervisor.start(REQUEST)
    await stage.give(1, b"one")
    assert await stage.final() == "failed"
    assert stage.recorder.error is not None
    error = stage.recorder.error
    assert (error.reason, error.stage, error.retryable) == ("INPUT_IMAGE_MISSING", 1, True)
    assert "error" in stage.recorder.types
    assert stage.media.jobs == []
    with pytest.raises(FailedPrecondition, match="INPUT_IMAGE_NOT_EXPECTED"):
        await stage.give(2, b"two")


async def test_a_waiting_run_can_be_cancelled(stage: Stage) -> None:
    await stage.supervisor.start(REQUEST)
    await stage.supervisor.cancel(RUN)
    assert stage.recorder.state(RUN) == "cancelled"


async def test_pictures_of_cancelled_runs_leave_their_places_to_others(stage: Stage) -> None:
    check, looking = stage.safety.check_image, asyncio.Semaphore(0)

    async def look(*_: Any, **__: Any) -> ImageVerdict:
        looking.release()
        await asyncio.Event().wait()
        raise AssertionError

    stage.safety.check_image = look  # type: ignore[method-assign]
    for _ in range(MAX_IN_MEMORY + 1):
        run_id = RunId.new()
        await stage.supervisor.start(replace(REQUEST, run_id=run_id))
        giving = asyncio.create_task(stage.supervisor.add_input_image(run_id, 1, sent(b"one")))
        await looking.acquire()
        await stage.supervisor.cancel(run_id)
        with pytest.raises(FailedPrecondition, match="INPUT_IMAGE_NOT_EXPECTED"):
            await giving
    stage.safety.check_image = check  # type: ignore[method-assign]
    # The fake knows the outputs of one run.
    stage.recorder.outputs.clear()
    await stage.supervisor.start(REQUEST)
    await stage.give(1, b"one")
    await stage.give(2, b"two")
    assert await stage.final() == "succeeded"


async def test_a_picture_is_settled_when_its_sender_has_gone(stage: Stage) -> None:
    looking, go_on = asyncio.Event(), asyncio.Event()
    check = stage.safety.check_image

    async def look(*arguments: Any, **promise: Any) -> ImageVerdict:
        looking.set()
        await go_on.wait()
        return await check(*arguments, **promise)

    stage.safety.check_image = look  # type: ignore[method-assign]
    await stage.supervisor.start(REQUEST)
    giving = asyncio.create_task(stage.give(1, b"one"))
    await looking.wait()
    giving.cancel()
    await asyncio.wait({giving})
    go_on.set()
    # The same again waits for what is under way.
    await stage.give(1, b"one")
    assert len(stage.safety.looked_at) == 1
    assert stage.recorder.types.count("input_image") == 1


async def test_a_picture_that_cannot_be_used_leaves_the_run_waiting(stage: Stage) -> None:
    await stage.supervisor.start(REQUEST)
    stage.media.prepare_failures = [InvalidArgument("MEDIA_MALFORMED", "no picture")]
    with pytest.raises(InvalidArgument, match="MEDIA_MALFORMED"):
        await stage.give(1, b"nonsense")
    await stage.give(1, b"one")
    await stage.give(2, b"two")
    assert await stage.final() == "succeeded"


async def test_a_picture_that_could_not_be_judged_is_not_recorded() -> None:
    stage = _stage(patience=0.0)
    await stage.supervisor.start(REQUEST)
    stage.safety.image_failures = [Unavailable("SAFETY_UNAVAILABLE", "away")]
    with pytest.raises(Unavailable, match="SAFETY_UNAVAILABLE"):
        await stage.give(1, b"one")
    assert "input_image" not in stage.recorder.types
    await stage.give(1, b"one")
    await stage.give(2, b"two")
    assert await stage.final() == "succeeded"


async def test_a_start_with_another_number_of_pictures_is_another_request(stage: Stage) -> None:
    await stage.supervisor.start(REQUEST)
    await stage.supervisor.start(REQUEST)
    with pytest.raises(AlreadyExists, match="REQUEST_ID_REUSED"):
        await stage.supervisor.start(replace(REQUEST, input_images=1))
