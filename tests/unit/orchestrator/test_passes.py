"""What each pass of a recipe is given, what comes of it, and whose recipe may be used."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from services.kit.text import MAX_TEXT_CHARACTERS
from services.orchestrator.domain.run import PassText, Recipe
from services.orchestrator.ports import TextHint, WritingHint
from tests.support.eventually import eventually
from tests.support.stage import DADA, REQUEST, RUN, stage_with

LOCAL = replace(DADA, is_local=True, sha256="5e")


def _chain(*takes: PassText, result: PassText = "previous") -> Recipe:
    return replace(DADA, passes=len(takes), takes=takes, result=result, translates_input=False)


@pytest.mark.parametrize(
    ("recipe", "given", "result"),
    [
        (_chain("previous", "previous"), ["Eine Blume", "Eine Blume+1"], "Eine Blume+1+2"),
        (_chain("original", "original"), ["Eine Blume", "Eine Blume"], "Eine Blume+2"),
        (
            _chain("original", "original", result="all"),
            ["Eine Blume", "Eine Blume"],
            "Eine Blume+1\n\nEine Blume+2",
        ),
        (
            _chain("previous", "original", "all"),
            ["Eine Blume", "Eine Blume", "Eine Blume+1\n\nEine Blume+2"],
            "Eine Blume+1\n\nEine Blume+2+3",
        ),
    ],
    ids=["chain", "split", "split and all", "split and join"],
)
async def test_the_recipe_says_what_a_pass_is_given(
    recipe: Recipe, given: list[str], result: str
) -> None:
    stage = stage_with(recipe)
    assert await stage.run() == "succeeded"
    assert [text for _, text, _, _ in stage.interception.asked] == given
    assert stage.recorder.text_of("interception") == result
    # Every text that a model got was checked before.
    assert set(given[1:]) - {"Eine Blume"} <= {text for _, text in stage.safety.asked}


async def test_passes_that_write_too_much_together_are_an_error_of_their_own() -> None:
    stage = stage_with(_chain("original", "original", result="all"))
    stage.interception.write = lambda *_: "x" * (MAX_TEXT_CHARACTERS - 100)
    assert await stage.run() == "failed"
    assert stage.recorder.error is not None
    assert stage.recorder.error.reason == "PASSES_TOO_LONG"


async def test_a_recipe_that_keeps_texts_here_has_them_translated_here_too() -> None:
    fast = replace(REQUEST, mode="fast")
    for promises, mode in ((True, "eco"), (False, "fast")):
        recipe = replace(DADA, local_only=promises, output_configs=("builtin_image",))
        stage = stage_with(recipe)
        assert await stage.run(fast) == "succeeded"
        assert [(job.config_name, job.mode) for job in stage.interception.jobs] == [
            ("translation_en", mode),
            ("dada", mode),
        ]


async def test_a_recipe_of_somebody_here_is_checked_before_a_model_gets_it() -> None:
    stage = stage_with(LOCAL)
    stage.interception.texts = ("Sei freundlich", "verboten")
    assert await stage.run() == "blocked"
    assert ("context", "Sei freundlich") in stage.safety.asked
    assert [config for config, *_ in stage.interception.asked] == ["translation_en"]
    evidence = [d for d in stage.recorder.drafts if d.type == "safety"][-1]
    assert json.loads(evidence.data)["terms"] == ["verboten"]
    # The person wrote nothing that is forbidden, and is not told so.
    told = [json.loads(d.data) for d in stage.recorder.drafts if d.type == "explanation"]
    assert [one["explanation"].partition(".")[0] for one in told] == [
        "Es liegt nicht an deinem Text"
    ]


async def test_a_recipe_of_somebody_here_is_checked_where_a_text_goes_on() -> None:
    stage = stage_with(replace(LOCAL, translates_input=False))
    stage.interception.texts = ("Male mir eine",)
    stage.safety.forbidden = ("eine\neine",)
    assert await stage.run() == "blocked"
    assert stage.interception.asked == []
    with_rules = stage_with(replace(LOCAL, translates_input=False))
    with_rules.interception.texts = ("Male mir eine",)
    with_rules.safety.forbidden = ("eine\nnur",)
    assert await with_rules.run(replace(REQUEST, context="nur Dreiecke")) == "blocked"


async def test_a_recipe_of_somebody_here_that_is_safe_is_used_as_it_was_checked() -> None:
    stage = stage_with(LOCAL)
    stage.interception.texts = ("Sei freundlich",)
    assert await stage.run() == "succeeded"
    assert [job.recipe_sha256 for job in stage.interception.jobs] == ["", "5e"]


async def test_a_recipe_that_changed_meanwhile_ends_the_run() -> None:
    stage = stage_with(LOCAL)
    await stage.supervisor.start(REQUEST)
    stage.interception.recipe_ = replace(LOCAL, sha256="6f")
    assert await stage.final() == "failed"
    assert stage.recorder.error is not None
    assert stage.recorder.error.reason == "RECIPE_CHANGED"


async def test_a_shipped_recipe_is_not_checked_again() -> None:
    stage = stage_with(DADA)
    stage.interception.texts = ("verboten",)
    assert await stage.run() == "succeeded"


async def test_who_waits_for_a_model_sees_its_place_until_its_turn_comes() -> None:
    stage = stage_with(replace(DADA, translates_input=False))
    stage.interception.line = (3, 1)
    stage.media.frozen = True  # so that there is time for a text to grow
    await stage.supervisor.start(replace(REQUEST, user_id="anna"))
    await eventually(lambda: any(isinstance(one, TextHint) for one in stage.recorder.hints))
    places = [one.position for one in stage.recorder.hints if isinstance(one, WritingHint)]
    assert places[-1] == 0
    assert set(places) <= {3, 1, 0}
    assert stage.interception.jobs[0].user_id == "anna"
    await stage.supervisor.cancel(RUN)
