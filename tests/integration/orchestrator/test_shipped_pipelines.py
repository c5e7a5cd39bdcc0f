"""The pipelines of configs/pipelines, driven among fake peers and a real recorder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.kit.clock import SystemClock
from services.kit.errors import Unavailable
from services.kit.ids import RunId
from services.orchestrator.decisions import Answer, Decisions
from services.orchestrator.domain.questions import Said
from services.orchestrator.domain.run import OutputOffer, RecordedRun
from services.orchestrator.engine.definition import Definition, parse_definition
from tests.support.driven_run import DADA, REQUEST, RUN, SCRIPT, Driven, Fuse, Killed, driven
from tests.support.pipelines import shipped

IMAGE = OutputOffer("an_image", "image", available=True)
TEXT = OutputOffer("a_text", "text", available=True)
CODE = OutputOffer("a_sketch", "code", available=True)


def following(pipeline: Definition, *offers: OutputOffer) -> dict[str, Any]:
    """A run that follows a pipeline and wants these outputs."""
    names = tuple(offer.name for offer in offers)
    return {
        "pipelines": {pipeline.name: pipeline},
        "request": replace(REQUEST, pipeline=pipeline.name, output_configs=names),
        "recipe": replace(DADA, default_output=offers[0].kind),
        "offers": offers,
    }


async def recorded(run: Driven) -> RecordedRun:
    return await run.recorder.get_run(RUN)


def types(run: RecordedRun) -> list[str]:
    return [entity.type for entity in run.entities]


def ends(run: RecordedRun) -> list[tuple[str, str]]:
    return [(one.state, one.error.reason if one.error else "") for one in run.outputs]


async def test_text_only_makes_texts_and_refuses_the_rest(tmp_path: Path) -> None:
    async with driven(tmp_path, **following(shipped("text_only"), TEXT, IMAGE)) as run:
        run.media.files = {"a_text": (b"Eine Blume",)}
        assert await run.drive() is None
        found = await recorded(run)
        assert ends(found) == [("succeeded", ""), ("failed", "STOPPED")]
        assert found.state == "partial"
        assert run.media.executions == [1]


async def test_translation_is_checked_before_and_after_and_no_recipe_is_asked(
    tmp_path: Path,
) -> None:
    async with driven(tmp_path, **following(shipped("translation"), IMAGE)) as run:
        run.interception.translate = lambda text: "A flower"
        assert await run.drive() is None
        found = await recorded(run)
        assert found.state == "succeeded"
        assert [name for name, *_ in run.interception.asked] == ["translation_en"]
        assert run.safety.asked[:2] == [("input", "Eine Blume"), ("translation", "A flower")]
        assert run.media.jobs[0].prompt == "A flower"
        assert types(found) == [
            "input",
            "safety",
            "translation",
            "safety",
            "safety_pre_output",
            "output_image",
        ]


async def test_comparison_makes_every_output_of_the_same_text(tmp_path: Path) -> None:
    offers = tuple(OutputOffer(f"model_{n}", "image", available=True) for n in range(5))
    async with driven(tmp_path, **following(shipped("comparison"), *offers)) as run:
        assert await run.drive() is None
        found = await recorded(run)
        assert ends(found) == [("succeeded", "")] * 5
        assert len({job.prompt for job in run.media.jobs}) == 1
        assert sorted(run.media.executions) == [1, 2, 3, 4, 5]


async def test_code_asks_its_author_once_more_when_it_is_away(tmp_path: Path) -> None:
    document = json.loads(shipped("code").document)
    making = document["steps"][-1]["config"]["body"]["steps"][-1]
    making["retry"]["backoff_seconds"] = 0
    quick = parse_definition(document, "code.yaml")
    async with driven(tmp_path, **following(quick, CODE, IMAGE)) as run:
        run.media.files = {"a_sketch": (SCRIPT,)}
        run.media.failures = [Unavailable("AUTHOR_AWAY", "not now")]
        assert await run.drive() is None
        assert ends(await recorded(run)) == [("succeeded", ""), ("failed", "STOPPED")]
        assert [job.output.index for job in run.media.jobs] == [1, 1]


async def _nobody(run_id: RunId, user_id: str) -> None:
    """Whoever drives the run next is the test."""


async def _teach(run: Driven, answers: Iterator[Said], fuse: Fuse | None = None) -> None:
    """Drive to the end; a teacher answers each question, another driver comes for one that died."""
    decisions = Decisions(run.recorder, _nobody, SystemClock())
    while not (await recorded(run)).is_final:
        assert run.drivers < 20
        try:
            parked = await run.drive(fuse)
        except Killed:
            fuse = None
            continue
        if parked is not None:
            [question] = (await recorded(run)).open_questions
            said = next(answers)
            await decisions.take(Answer(RUN, question, said, "", "frau-b", is_teacher=True))


APPROVAL = following(shipped("teacher_approval"), IMAGE)


@pytest.mark.parametrize(
    ("answers", "state", "rounds"),
    [
        (["approve"], "succeeded", 1),
        (["reject", "approve"], "succeeded", 2),
        (["reject", "reject", "approve"], "succeeded", 3),
        (["reject", "reject", "reject"], "blocked", 3),
    ],
)
async def test_a_teacher_sends_a_text_through_the_recipe_again_twice_at_most(
    tmp_path: Path, answers: list[Said], state: str, rounds: int
) -> None:
    async with driven(tmp_path, **APPROVAL) as run:
        await _teach(run, iter(answers))
        found = await recorded(run)
        assert found.state == state
        counted = Counter(types(found))
        assert counted["interception"] == counted["question"] == counted["decision"] == rounds
        texts = [text for name, text, *_ in run.interception.asked if name == "dada"]
        assert texts == ["Eine Blume", "Eine Blume+1", "Eine Blume+1+1"][:rounds]
        prompts = [job.prompt for job in run.media.jobs]
        assert prompts == (["Eine Blume" + "+1" * rounds] if state == "succeeded" else [])


async def test_wherever_drivers_die_a_loop_goes_on_in_its_turn(tmp_path: Path) -> None:
    said: list[Said] = ["reject", "approve"]
    async with driven(tmp_path, **APPROVAL) as whole:
        fuse = Fuse()
        await _teach(whole, iter(said), fuse)
        expected = _tellable(await whole.folder())
    assert fuse.writes > 5
    for cut in range(1, fuse.writes):
        async with driven(tmp_path, **APPROVAL) as run:
            await _teach(run, iter(said), Fuse(after=cut))
            assert _tellable(await run.folder()) == expected, f"after write {cut}"
            assert run.media.executions == [1]


def _tellable(folder: dict[str, Any]) -> dict[str, Any]:
    entities = Counter(
        # A question has a deadline, which is another one each time.
        (kind, stage, output, data if kind != "question" else json.loads(data)["text"])
        for kind, stage, output, _, _, _, data in folder["entities"]
    )
    return {**folder, "entities": entities}
