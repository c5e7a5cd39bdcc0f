"""After the sketch: its words are judged before its output is final."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from services.kit.errors import FailedPrecondition
from services.orchestrator.code_check import MAX_BYTES, PIECE_CHARACTERS
from services.orchestrator.domain.run import OutputOffer
from services.orchestrator.run_in_work import Services
from tests.fakes.peers import FakeInterception, FakeMedia, FakeRecorder, FakeSafety
from tests.support.supervised import supervise
from tests.unit.orchestrator.test_image_check import DADA, RUN, Stage

SKETCH = b"function setup() { createCanvas(640, 640); text('Blume', 1, 1); }"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    recorder, safety = FakeRecorder(), FakeSafety()
    media = FakeMedia(offers=(OutputOffer("sketch", "code", available=True),))
    media.into, media.writes = recorder, (("text/plain", SKETCH),)
    services = Services(recorder, safety, FakeInterception(DADA), media, patience_seconds=0.0)
    supervisor = supervise(services, max_runs=4, run_limit_seconds=30.0)
    yield Stage(recorder, safety, media, supervisor)
    await supervisor.drain()


def judged(stage: Stage) -> list[str]:
    return [text for purpose, text in stage.safety.asked if purpose == "code"]


async def test_a_sketch_is_judged_before_its_output_is_final(stage: Stage) -> None:
    assert await stage.run("sketch") == "succeeded"
    assert judged(stage) == [SKETCH.decode()]
    assert stage.recorder.steps[-2:] == [(4, "media_generation", 1), (4, "code_check", 1)]
    [verdict] = [d for d in stage.recorder.drafts if d.type == "safety_output"]
    assert (verdict.stage, verdict.output_index, verdict.audience) == (4, 1, "research")
    assert json.loads(verdict.data)["verdicts"][0]["entity"] == stage.made()[0]
    assert "safety_output" in stage.recorder.runs[RUN].expected_entities


async def test_a_sketch_with_words_that_are_refused_is_blocked_and_explained(stage: Stage) -> None:
    stage.media.writes = (("text/plain", SKETCH), ("text/plain", b"text('verboten', 1, 1);"))
    assert await stage.run("sketch") == "blocked"
    state, error = stage.recorder.outputs[1]
    assert (state, error and error.reason, error and error.stage) == (
        "blocked",
        "SAFETY_BLOCKED",
        4,
    )
    assert stage.recorder.drafts[-1].type == "explanation"


@pytest.fixture
def writer(stage: Stage) -> Stage:
    """Its media service makes a text."""
    stage.media.offers = (OutputOffer("says", "text", available=True),)
    return stage


async def test_a_text_that_a_renderer_wrote_itself_is_judged(writer: Stage) -> None:
    writer.media.writes = (("text/plain", b"Das ist verboten"),)
    assert await writer.run("says") == "blocked"
    assert ("interception", "Das ist verboten") in writer.safety.asked
    error = writer.recorder.outputs[1][1]
    assert (error and error.reason, error and error.stage) == ("SAFETY_BLOCKED", 4)


async def test_a_text_that_was_checked_already_is_not_judged_twice(writer: Stage) -> None:
    writer.media.writes = (("text/plain", b"Blume+1"),)
    assert await writer.run("says") == "succeeded"
    assert [text for purpose, text in writer.safety.asked].count("Blume+1") == 1
    assert (4, "text_check", 1) not in writer.recorder.steps


@pytest.mark.parametrize("at", [0, PIECE_CHARACTERS - 4, 3 * PIECE_CHARACTERS])
async def test_no_word_of_a_long_sketch_is_passed_over(stage: Stage, at: int) -> None:
    sketch = "x" * at + "verboten" + "y" * PIECE_CHARACTERS
    stage.media.writes = (("text/plain", sketch.encode()),)
    assert await stage.run("sketch") == "blocked"
    assert max(len(piece) for piece in judged(stage)) <= PIECE_CHARACTERS


async def test_what_cannot_be_judged_is_not_shown(stage: Stage) -> None:
    stage.safety.code_failures = [FailedPrecondition("SAFETY_BROKEN", "no verdict")]
    assert await stage.run("sketch") == "failed"
    assert "safety_output" not in [draft.type for draft in stage.recorder.drafts]


async def test_more_code_than_is_read_through_is_not_shown(stage: Stage) -> None:
    stage.media.writes = (("text/plain", bytes(MAX_BYTES + 1)),)
    assert await stage.run("sketch") == "failed"
    assert judged(stage) == []
