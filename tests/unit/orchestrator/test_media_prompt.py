"""A text is put the way the medium of an output wants it, unless its words are to stay."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from services.kit.errors import FailedPrecondition
from services.orchestrator.domain.run import OutputOffer, Recipe
from services.orchestrator.hints import HintSender
from services.orchestrator.ports import WritingHint
from services.orchestrator.run_in_work import Services
from tests.fakes.peers import FakeRecorder
from tests.support.eventually import eventually
from tests.support.stage import DADA, REQUEST, Stage, stage_with
from tests.support.supervised import supervise

FILM = OutputOffer("film", "video", available=True, prompt_style="shot_list")
PLAIN = OutputOffer("plain", "image", available=True)
BOTH = replace(REQUEST, output_configs=("film", "plain"), user_id="anna")


def _stage(recipe: Recipe = DADA) -> Stage:
    stage = stage_with(recipe)
    stage.media.offers = (FILM, PLAIN)
    return stage


async def test_each_output_gets_its_prompt_the_way_its_config_asks_for() -> None:
    stage = _stage()
    assert await stage.run(BOTH) == "succeeded"
    prompts = {job.output.config: job.prompt for job in stage.media.jobs}
    assert prompts == {"film": "shot_list: Eine Blume+1", "plain": "Eine Blume+1"}
    (draft,) = [one for one in stage.recorder.drafts if one.type == "media_prompt"]
    assert (draft.output_index, draft.stage, draft.audience) == (1, 3, "advanced")
    assert draft.metadata["style"] == "shot_list"
    (job,) = stage.interception.rewritten
    assert (job.style, job.kind, job.user_id, job.recipe) == ("shot_list", "video", "anna", "dada")


async def test_it_is_checked_before_the_model_and_what_comes_of_it_before_the_renderer() -> None:
    stage = _stage()
    await stage.run(BOTH)
    asked = stage.safety.asked
    assert asked.index(("interception", "Eine Blume+1")) < asked.index(
        ("media_prompt", "shot_list: Eine Blume+1")
    )


async def test_no_model_gets_a_text_that_was_found_unsafe() -> None:
    stage = _stage()
    stage.safety.forbidden_of = {"interception": ("blume+1",)}
    assert await stage.run(replace(BOTH, output_configs=("film",))) == "blocked"
    assert stage.interception.rewritten == []
    assert stage.media.made == []


async def test_a_prompt_that_was_made_worse_blocks_its_output_only() -> None:
    stage = _stage()
    stage.safety.forbidden = ("shot_list",)
    assert await stage.run(BOTH) == "partial"
    assert stage.recorder.outputs[1][0] == "blocked"
    assert stage.recorder.outputs[2][0] == "succeeded"


async def test_what_cannot_be_put_otherwise_is_made_as_it_is_and_says_so() -> None:
    stage = _stage()
    stage.interception.rewrite_failures = [FailedPrecondition("LLM_REFUSED", "no")]
    assert await stage.run(replace(BOTH, output_configs=("film",))) == "succeeded"
    assert [job.prompt for job in stage.media.jobs] == ["Eine Blume+1"]
    assert [(index, one.reason) for index, one in stage.recorder.warnings] == [
        (1, "PROMPT_NOT_REWRITTEN")
    ]


async def test_a_prompt_that_came_to_nothing_stands_in_no_line_any_more() -> None:
    stage = _stage()
    stage.interception.line = (2, 1)
    stage.interception.rewrite_failures = [FailedPrecondition("LLM_REFUSED", "no")]
    stage.media.frozen = True  # so that hints are sent
    await stage.supervisor.start(replace(BOTH, output_configs=("film",)))
    gone = WritingHint("media_prompt", 0, 1)
    await eventually(lambda: gone in stage.recorder.hints)
    await stage.supervisor.cancel(BOTH.run_id)


async def test_the_place_of_one_output_is_not_taken_for_that_of_another() -> None:
    recorder = FakeRecorder()
    sender = HintSender(BOTH.run_id, recorder)
    for position, output in ((2, 1), (0, 1), (3, 2)):
        sender.place("media_prompt", position, output)
    sending = asyncio.create_task(sender.forward())
    await eventually(lambda: bool(recorder.hints))
    sending.cancel()
    assert recorder.hints == [
        WritingHint("media_prompt", 0, 1),
        WritingHint("media_prompt", 3, 2),
    ]


async def test_what_is_made_of_a_text_as_it_is_stays_so_for_who_goes_on() -> None:
    stage = _stage()
    film = replace(BOTH, output_configs=("film",))
    stage.interception.rewrite_failures = [FailedPrecondition("LLM_REFUSED", "no")]
    stage.media.frozen = True
    await stage.supervisor.start(film)
    await eventually(lambda: bool(stage.media.jobs))
    await stage.supervisor.drain()
    asked = len(stage.interception.rewritten)
    stage.media.frozen = False
    stage.supervisor = supervise(
        Services(stage.recorder, stage.safety, stage.interception, stage.media)
    )
    assert await stage.final() == "succeeded"
    assert len(stage.interception.rewritten) == asked
    assert {job.prompt for job in stage.media.jobs} == {"Eine Blume+1"}
    assert len(stage.recorder.warnings) == 1
    await stage.supervisor.drain()


async def test_a_recipe_whose_words_stay_is_never_put_otherwise() -> None:
    stage = _stage(replace(DADA, keeps_words=True))
    assert await stage.run(BOTH) == "succeeded"
    assert stage.interception.rewritten == []
    assert {job.prompt for job in stage.media.jobs} == {"Eine Blume+1"}
    assert "media_prompt" not in stage.recorder.types


async def test_a_recipe_that_keeps_texts_here_has_its_prompts_written_here_too() -> None:
    for promises, mode in ((True, "eco"), (False, "fast")):
        stage = _stage(replace(DADA, local_only=promises))
        await stage.run(replace(BOTH, mode="fast"))
        assert [job.mode for job in stage.interception.rewritten] == [mode]


async def test_who_looks_at_the_text_before_it_is_made_gets_just_that_made() -> None:
    stage = _stage()
    await stage.supervisor.start(replace(BOTH, pause_before_render=True))
    plan = stage.recorder.plans[BOTH.run_id]
    assert '"prompt_style":"shot_list"' not in plan
    await stage.supervisor.cancel(BOTH.run_id)
