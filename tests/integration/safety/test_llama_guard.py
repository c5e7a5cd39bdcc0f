"""Models in the manner of Llama Guard: a grammar of two lines, and codes that the policy knows."""

from __future__ import annotations

import pytest

from services.safety.domain.levels import Level
from tests.fakes.openai_server import Say
from tests.integration.safety.text_server import check, judging
from tests.support.rpc import refused

SECRET = "Ein Quastenflosser im Regen"


GUARD: dict[str, tuple[str, Level, str, list[str]]] = {
    "safe": ("safe", Level.KIDS, "", []),
    "safe, with a new line before it": ("\n\nsafe", Level.KIDS, "", []),
    "two": (
        "unsafe\nS1,S10",
        Level.KIDS,
        "kids.hate",
        ["hate", "violence"],
    ),
    "with a blank": ("unsafe\nS11, S9", Level.RESEARCH, "research.mass_harm", ["mass_harm"]),
    "not at this level": ("unsafe\nS12", Level.ADULT, "", ["sexual_content"]),
    "never": ("unsafe\nS4", Level.RESEARCH, "research.sexualised_minors", ["sexualised_minors"]),
    "its own harms": ("unsafe\nS8", Level.KIDS, "kids.other_harm", ["other_harm"]),
    "unknown": ("unsafe\nS99", Level.RESEARCH, "research.other_harm", ["other_harm", "S99"]),
}


@pytest.mark.parametrize("name", GUARD)
async def test_the_answer_of_llama_guard_is_read_by_its_grammar(name: str) -> None:
    said, level, rule, codes = GUARD[name]
    async with judging(Say(said, model="guard"), form="llama_guard") as (stub, fake):
        verdict = await check(stub, SECRET, level)
    assert verdict.rule == rule
    assert [code for code in verdict.codes if code in codes] == codes
    (asked,) = fake.requests
    assert asked.body["messages"] == [{"role": "user", "content": SECRET}]
    assert "response_format" not in asked.body
    # An answer without a ticket comes on a connection of its own.
    assert asked.headers["Connection"] == "close"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("unsafe", "TEXT_JUDGE_CONTRADICTION"),
        ("safe\nS1", "TEXT_JUDGE_CONTRADICTION"),
        ("SAFE", "TEXT_JUDGE_PROTOCOL"),
        ("safe.", "TEXT_JUDGE_PROTOCOL"),
        ("safe\nsafe", "TEXT_JUDGE_PROTOCOL"),
        ("unsafe S1", "TEXT_JUDGE_PROTOCOL"),
        ("unsafe\nS1,", "TEXT_JUDGE_PROTOCOL"),
        ("unsafe\nviolence", "TEXT_JUDGE_PROTOCOL"),
        ("unsafe\nS١", "TEXT_JUDGE_PROTOCOL"),
        ('{"verdict": "safe"}', "TEXT_JUDGE_PROTOCOL"),
        ("I'm sorry, I cannot help.", "TEXT_JUDGE_REFUSED"),
        ("", "TEXT_JUDGE_EMPTY"),
        ("<think>safe</think>", "TEXT_JUDGE_ONLY_THOUGHTS"),
    ],
)
async def test_what_llama_guard_does_not_say_is_an_error(said: str, reason: str) -> None:
    async with judging(Say(said), form="llama_guard") as (stub, _):
        async with refused("FAILED_PRECONDITION", reason):
            await check(stub, SECRET)
