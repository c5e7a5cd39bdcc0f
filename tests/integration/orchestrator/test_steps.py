"""Steps in pipelines of one's own: what they leave in the record, and what they refuse."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from services.kit.clock import ManualClock
from services.kit.errors import Unavailable
from services.orchestrator.domain.run import Level, OutputOffer
from services.orchestrator.engine.definition import Definition, parse_definition
from services.orchestrator.engine.step import JsonObject, StepBlocked, StepScope
from services.orchestrator.input_images import InputImages
from services.orchestrator.pipeline import Pipeline
from services.orchestrator.run_in_work import RunInWork
from services.orchestrator.steps.place import RUN as RUN_SERVICE
from services.orchestrator.steps.table import FACTORIES
from tests.fakes.peers import FakeSafety
from tests.support.driven_run import DADA, REQUEST, RUN, Driven, Fuse, Killed, driven
from tests.support.eventually import eventually
from tests.support.pictures import picture_of

CHECKED: frozenset[Level] = frozenset({"kids", "youth"})
OUTPUTS = {
    "id": "outputs",
    "type": "for_each_output",
    "config": {
        "body": {
            "steps": [
                {
                    "id": "pre_output_safety",
                    "type": "pre_output_safety",
                    "inputs": {"text": "{{ steps.write.output.text }}"},
                },
                {
                    "id": "media_generation",
                    "type": "media_generation",
                    "inputs": {"text": "{{ steps.write.output.text }}"},
                },
            ]
        }
    },
}
HERE = "tests.integration.orchestrator.test_steps"


class Shout:
    """A plug-in: makes a text louder, after as many failures as it is told."""

    runs: ClassVar[list[tuple[int, int]]] = []
    failures: ClassVar[list[Exception]] = []

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Return the text in capitals."""
        self.runs.append((scope.iteration, scope.attempt))
        if self.failures:
            raise self.failures.pop(0)
        return {"text": f"{inputs['text']}!"}


class TakesLong:
    """A plug-in: goes on until a question is asked, and 100 s longer."""

    clock = ManualClock()

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Return its inputs."""
        work = cast("RunInWork", scope.services.get(RUN_SERVICE))
        await eventually(lambda: bool(work.awaited), what="a question")
        self.clock.advance(100)
        return inputs


@pytest.fixture(autouse=True)
def _quiet() -> None:
    Shout.runs.clear()
    Shout.failures.clear()


def pipeline(*steps: dict[str, Any], **flow: Any) -> dict[str, Definition]:
    data = {"name": "own", "title": {"en": "Own"}, "steps": list(steps), **flow}
    return {"own": parse_definition(data, "own.yaml", FACTORIES)}


def own(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    request = fields.pop("request", REQUEST)
    flow = {"flow": fields.pop("flow")} if "flow" in fields else {}
    return {
        "pipelines": pipeline(*steps, **flow),
        "request": replace(request, pipeline="own"),
        "recipe": replace(DADA, translates_input=False),
        **fields,
    }


def step(id_: str, type_: str, text: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "type": type_, "inputs": {"text": text}, **more}


WRITE = step("write", f"{HERE}:Shout", "{{ input.text }}")


async def test_what_belongs_together_is_recorded_together_and_in_order(tmp_path: Path) -> None:
    async with driven(tmp_path) as run:
        fuse = Fuse()
        await run.drive(fuse)
        kinds = [one["kind"] for one in await run.events()]
        assert kinds == [
            "state_changed",
            "entity_committed",
            "state_changed",
            "stage_started",
            "entity_committed",
            "entity_committed",
            "stage_started",
            "entity_committed",
            "stage_started",
            "entity_committed",
            "stage_started",
            "entity_committed",
            "output_finished",
            "state_changed",
        ]
        # The first stage; a translation with its verdict, and two entities, each with the stage
        # after it; the end.
        assert fuse.writes == 5


async def test_nothing_is_made_of_a_text_that_was_not_checked_for_it(tmp_path: Path) -> None:
    body = OUTPUTS["config"]["body"]["steps"]  # type: ignore[index]
    elsewhere = json.loads(json.dumps(OUTPUTS))
    elsewhere["config"]["body"]["steps"] = [
        body[0],
        step("media_generation", "media_generation", "{{ input.text }}"),
    ]
    async with driven(tmp_path, **own(WRITE, elsewhere)) as run:
        await run.drive()
        recorded = await run.recorder.get_run(RUN)
        [output] = recorded.outputs
        assert output.error is not None
        assert (output.state, output.error.reason) == ("failed", "TEXT_NOT_CHECKED")
        assert run.media.jobs == []


async def test_a_check_of_another_output_is_no_check(tmp_path: Path) -> None:
    offers = (
        OutputOffer("a", "image", available=True),
        OutputOffer("b", "image", available=True),
    )
    only_first = json.loads(json.dumps(OUTPUTS))
    only_first["config"]["body"]["flow"] = {
        "start_at": "look",
        "paths": [
            {
                "from_step": "look",
                "to_step": "pre_output_safety",
                "condition": {"equals": ["{{ output.index }}", 1]},
            },
            {
                "from_step": "look",
                "to_step": "media_generation",
                "condition": {"equals": ["{{ output.index }}", 2]},
            },
            {"from_step": "pre_output_safety", "to_step": "media_generation"},
        ],
    }
    only_first["config"]["body"]["steps"].insert(0, {"id": "look", "type": "set"})
    request = replace(REQUEST, output_configs=("a", "b"))
    async with driven(tmp_path, **own(WRITE, only_first, request=request, offers=offers)) as run:
        await run.drive()
        recorded = await run.recorder.get_run(RUN)
        assert [one.state for one in recorded.outputs] == ["succeeded", "failed"]
        assert recorded.outputs[1].error is not None
        assert recorded.outputs[1].error.reason == "TEXT_NOT_CHECKED"


async def test_what_a_plug_in_gave_is_in_the_record_with_every_try(tmp_path: Path) -> None:
    Shout.failures = [Unavailable("SHOUT_AWAY", "not now")]
    trying = {**WRITE, "retry": {"attempts": 3, "backoff_seconds": 0.001}}
    async with driven(tmp_path, **own(trying, OUTPUTS)) as run:
        await run.drive()
        entities = (await run.recorder.get_run(RUN)).entities
        [kept] = [one for one in entities if one.type == "step_output"]
        document = json.loads(await _bytes(run, kept.sequence))
        assert document["step"] == "write"
        assert document["output"]["output"] == {"text": "Eine Blume!"}
        assert [one["error"] for one in document["attempts"]] == ["SHOUT_AWAY", ""]
        assert (kept.attempt, kept.metadata) == (2, {"step": "write", "iteration": "1"})
        assert run.media.jobs[0].prompt == "Eine Blume!"
        [prompt] = [one for one in entities if one.type == "media_prompt"]
        assert await _bytes(run, prompt.sequence) == b"Eine Blume!"
        assert (prompt.stage, prompt.output_index) == (3, 1)


async def test_a_plug_in_is_not_run_again_when_it_is_done(tmp_path: Path) -> None:
    async with driven(tmp_path, **own(WRITE, OUTPUTS)) as run:
        drives = 0
        while not (await run.recorder.get_run(RUN)).is_final:
            drives += 1
            with suppress(Killed):
                await run.drive(Fuse(after=2))
        assert drives > 2
        assert Shout.runs == [(1, 1)]
        recorded = await run.recorder.get_run(RUN)
        assert recorded.state == "succeeded"
        assert [one.type for one in recorded.entities].count("media_prompt") == 1


async def test_a_plug_in_that_fails_for_good_tells_of_every_try(tmp_path: Path) -> None:
    Shout.failures = [Unavailable("SHOUT_AWAY", "not now") for _ in range(2)]
    trying = {**WRITE, "retry": {"attempts": 2, "backoff_seconds": 0.001}}
    async with driven(tmp_path, **own(trying, OUTPUTS)) as run:
        await run.drive()
        recorded = await run.recorder.get_run(RUN)
        assert recorded.state == "failed"
        assert recorded.error is not None
        assert (recorded.error.reason, recorded.error.retryable) == ("SHOUT_AWAY", True)
        [error] = [one for one in recorded.entities if one.type == "error"]
        details = json.loads(await _bytes(run, error.sequence))["details"]
        assert [one["error"] for one in details["attempts"]] == ["SHOUT_AWAY"] * 2


async def test_a_plug_in_that_crashes_tells_nothing_of_what_was_typed(tmp_path: Path) -> None:
    Shout.failures = [ValueError("Eine Blume")]
    async with driven(tmp_path, **own(WRITE, OUTPUTS)) as run:
        await run.drive()
        recorded = await run.recorder.get_run(RUN)
        assert recorded.error is not None
        assert recorded.error.reason == "STEP_CRASHED"
        assert "Blume" not in recorded.error.message


async def test_a_plug_in_may_say_no(tmp_path: Path) -> None:
    Shout.failures = [StepBlocked("school.too_loud", 2)]
    async with driven(tmp_path, **own(WRITE, OUTPUTS)) as run:
        await run.drive()
        recorded = await run.recorder.get_run(RUN)
        assert recorded.state == "blocked"
        assert recorded.error is not None
        assert (recorded.error.reason, recorded.error.message) == (
            "SAFETY_BLOCKED",
            "school.too_loud",
        )
        assert [one.state for one in recorded.outputs] == ["blocked"]


async def test_a_text_from_elsewhere_is_checked_before_the_recipe_gets_it(tmp_path: Path) -> None:
    after = step("interception", "interception", "{{ steps.write.output.text }}")
    async with driven(tmp_path, **own(WRITE, after, OUTPUTS)) as run:
        await run.drive()
        assert run.safety.asked[0] == ("interception", "Eine Blume!")
        assert [text for _, text, _, _ in run.interception.asked] == ["Eine Blume!"]
    request = replace(REQUEST, input_text="verboten")
    async with driven(tmp_path, **own(WRITE, after, OUTPUTS, request=request)) as run:
        await run.drive()
        assert run.interception.asked == []
        assert (await run.recorder.get_run(RUN)).state == "blocked"


@pytest.mark.parametrize(
    ("rules", "text"),
    [("nur Dreiecke, verboten" + " und rund" * 300, "Eine Blume"), ("nur ver", "boten")],
)
async def test_rules_of_ones_own_reach_no_model_that_no_step_has_looked_at(
    tmp_path: Path, rules: str, text: str
) -> None:
    look = step("look", "check_text", "{{ input.text }}", config={"purpose": "input"})
    write = step("write", "interception", "{{ steps.look.output.text }}")
    request = replace(REQUEST, input_text=text, context=rules)
    async with driven(tmp_path, **own(look, write, OUTPUTS, request=request)) as run:
        run.safety.forbidden = ("verboten", "ver\nboten")
        await run.drive()
        assert run.interception.asked == []
        assert (await run.recorder.get_run(RUN)).state == "blocked"


async def test_a_wait_is_over_in_time_however_long_other_steps_took(tmp_path: Path) -> None:
    asks = {"kind": "approve", "who": "person", "seconds": 600, "on_timeout": "approve"}
    ask = step("ask", "question", "{{ input.text }}", config=asks)
    write = step("write", f"{HERE}:TakesLong", "{{ input.text }}")
    to = [{"from_step": one, "to_step": "outputs"} for one in ("ask", "write")]
    flow = {"start_at": ["ask", "write"], "paths": to}
    async with driven(tmp_path, **own(ask, write, OUTPUTS, flow=flow)) as run:
        work = await run.run_in_work(run.recorder)
        work.clock = TakesLong.clock = ManualClock(datetime.now(UTC))
        parked = await Pipeline(work, InputImages(work, asyncio.Semaphore(4))).drive()
        assert parked is not None
        assert parked.seconds == pytest.approx(500)


async def test_two_steps_of_one_type_each_find_their_own_texts(tmp_path: Path) -> None:
    once = step("once", "interception", "{{ input.text }}")
    twice = step("write", "interception", "{{ steps.once.output.text }}")
    async with driven(tmp_path, **own(once, twice, OUTPUTS)) as run:
        while not (await run.recorder.get_run(RUN)).is_final:
            with suppress(Killed):
                await run.drive(Fuse(after=3))
        texts = [
            (one.metadata["step"], await _bytes(run, one.sequence))
            for one in (await run.recorder.get_run(RUN)).entities
            if one.type == "interception"
        ]
        assert texts == [("once", b"Eine Blume+1"), ("write", b"Eine Blume+1+1")]


async def test_a_text_may_be_checked_and_translated_anywhere(tmp_path: Path) -> None:
    look = step("look", "check_text", "{{ input.text }}", config={"purpose": "input"})
    english = step("write", "translate", "{{ steps.look.output.text }}")
    async with driven(tmp_path, **own(look, english, OUTPUTS)) as run:
        run.interception.translate = lambda _: "A flower"
        while not (await run.recorder.get_run(RUN)).is_final:
            with suppress(Killed):
                await run.drive(Fuse(after=3))
        assert run.media.jobs[0].prompt == "A flower"
        assert {purpose for purpose, _ in run.safety.asked} == {
            "input",
            "translation",
            "media_prompt",
        }
        types = [one.type for one in (await run.recorder.get_run(RUN)).entities]
        assert types == [
            "input",
            "safety",
            "translation",
            "safety",
            "safety_pre_output",
            "output_image",
        ]


@pytest.mark.parametrize(("text", "asked"), [("verboten", False), ("Eine Blume", True)])
async def test_what_must_not_be_translated_or_said_in_translation_is_blocked(
    tmp_path: Path, text: str, asked: bool
) -> None:
    english = step("write", "translate", "{{ input.text }}")
    request = replace(REQUEST, input_text=text)
    async with driven(tmp_path, **own(english, OUTPUTS, request=request)) as run:
        run.interception.translate = lambda _: "verboten in English"
        while not (await run.recorder.get_run(RUN)).is_final:
            with suppress(Killed):
                await run.drive(Fuse(after=3))
        recorded = await run.recorder.get_run(RUN)
        assert recorded.state == "blocked"
        assert bool(run.interception.asked) == asked
        assert [one.type for one in recorded.entities][-1] == "explanation"


async def test_an_output_that_no_path_leads_to_says_so(tmp_path: Path) -> None:
    flow = {
        "start_at": "write",
        "paths": [
            {
                "from_step": "write",
                "to_step": "outputs",
                "condition": {"equals": ["{{ plan.seed }}", "none"]},
            }
        ],
    }
    fields = own(WRITE, OUTPUTS) | {"pipelines": pipeline(WRITE, OUTPUTS, flow=flow)}
    async with driven(tmp_path, **fields) as run:
        await run.drive()
        recorded = await run.recorder.get_run(RUN)
        assert recorded.state == "failed"
        assert recorded.error is not None
        assert recorded.error.reason == "OUTPUT_NOT_MADE"


MORPH = OutputOffer("morph", "image", available=True, image_slots=("init",))
WAITING = {
    "offers": (MORPH,),
    "request": replace(REQUEST, output_configs=("morph",), input_images=1),
    "services": {"input_image_look_seconds": 0.01},
}


async def test_a_picture_that_is_brought_to_another_process_is_found(tmp_path: Path) -> None:
    safety = FakeSafety(image_check_levels=CHECKED)
    async with driven(tmp_path, **WAITING, safety=safety) as run:
        driving = asyncio.create_task(run.drive())
        elsewhere = InputImages(await run.run_in_work(run.recorder), asyncio.Semaphore(4))
        await elsewhere.take(1, _sent(picture_of(b"one")))
        await driving
        assert (await run.recorder.get_run(RUN)).state == "succeeded"
        assert list(run.media.jobs[0].input_images) == ["init"]


async def test_a_picture_that_is_refused_in_another_process_ends_the_run(tmp_path: Path) -> None:
    safety = FakeSafety(image_check_levels=CHECKED)
    async with driven(tmp_path, **WAITING, safety=safety) as run:
        driving = asyncio.create_task(run.drive())
        elsewhere = InputImages(await run.run_in_work(run.recorder), asyncio.Semaphore(4))
        await elsewhere.take(1, _sent(picture_of(b"verboten")))
        assert elsewhere.is_refused
        await driving
        recorded = await run.recorder.get_run(RUN)
        assert recorded.state == "blocked"
        assert [one.type for one in recorded.entities] == ["input", "safety_image", "explanation"]


async def _sent(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _bytes(run: Driven, sequence: int) -> bytes:
    return b"".join([chunk async for chunk in run.recorder.read(RUN, sequence)])
