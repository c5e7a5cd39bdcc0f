"""Recipes of several steps, with a model: each step is told its own, and lists stay lists."""

from __future__ import annotations

import pytest

from tests.fakes.openai_server import FakeOpenAI, Say
from tests.integration.interception.composition import (
    RECIPES,
    chat_server,
    heard,
    interception,
    request,
)

LIST = "1. Regen – hinten, überall\n2. Hund – vorn in der Mitte, braun"
LAYERS = "1. Grund: Rechteck 400 × 400, Grau.\n2. Hund, (200, 270): Ellipse 120 × 60; Braun."
SONG = "Tags: Indie-Folk, Gitarre, 92 bpm\n\n[verse]\nDer Hund bleibt stehen\n\n[chorus]\nIm Regen"
PAIR = "Links: Ein Hund im Regen in Dakar, vor einer gekachelten Tür."


async def test_each_step_of_a_chain_is_told_its_own_task_and_the_text_before() -> None:
    first, second = RECIPES["p5js_simplifier"].steps
    async with FakeOpenAI() as fake, interception(chat_server(fake.base_url)) as stub:
        fake.script(Say(LIST), Say(LAYERS))
        listed = await heard(stub, request("p5js_simplifier", "Ein Hund im Regen"))
        assert listed.result.text == LIST
        drawn = await heard(stub, request("p5js_simplifier", listed.result.text, number=2))
        assert drawn.result.text == LAYERS
        assert drawn.result.passes == 2
    one, two = fake.requests
    for asked in (one, two):
        assert RECIPES["p5js_simplifier"].context["de"].split("\n\n")[0].strip() in asked.system
    assert first.context["de"].strip() in one.system
    assert first.context["de"].strip() not in two.system
    assert second.context["de"].strip() in two.system
    assert (one.user, two.user) == ("Ein Hund im Regen", LIST)
    assert one.body["max_tokens"] == first.sampling.max_tokens
    assert two.body["max_tokens"] == second.sampling.max_tokens


@pytest.mark.parametrize(("config", "answer"), [("lyrics_from_theme", SONG), ("one_world", PAIR)])
async def test_what_a_recipe_asks_for_is_not_taken_for_something_around_the_answer(
    config: str, answer: str
) -> None:
    async with FakeOpenAI() as fake, interception(chat_server(fake.base_url)) as stub:
        fake.script(Say(answer))
        result = (await heard(stub, request(config, "Ein Hund im Regen"))).result
    assert result.text == answer
