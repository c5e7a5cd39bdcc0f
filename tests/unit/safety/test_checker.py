"""The use case: what a verdict says, and that a failed check is never one."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from services.kit.errors import ArtlabError, PermissionDenied, ResourceExhausted, Unavailable
from services.safety.checker import TextChecker, TextToCheck
from services.safety.domain.levels import Level, Purpose
from services.safety.domain.policy import OnHit, Row
from services.safety.domain.verdict import Hit, ModelUsed
from services.safety.workers import INLINE_CHARACTERS, Workers
from tests.unit.safety.support import AnsweringJudge, check, safety

LONG = "Ein Hund im Regen. " * (INLINE_CHARACTERS // 10)


def checker_with(judge: AnsweringJudge, level: Level = Level.RESEARCH) -> TextChecker:
    return TextChecker(safety(), [judge], level, Workers())


def question(text: str, level: Level = Level.KIDS) -> TextToCheck:
    return TextToCheck(text, level, Purpose.INPUT, "de")


async def test_a_safe_verdict_says_what_was_checked_and_by_whom() -> None:
    verdict = await check("Ein Hund im Regen", language="de")
    assert not verdict.blocked
    assert (verdict.rule, verdict.codes, verdict.terms) == ("", (), ())
    assert (verdict.explanation, verdict.suggestion) == ("", "")
    assert re.fullmatch(r"wordlist:[0-9a-f]{8}", verdict.checks[0])
    assert verdict.checks[1:] == (
        f"personal_data:{safety().personal.version}",
        f"judge:builtin:{safety().rules.version}",
    )
    assert verdict.used == ModelUsed("builtin", f"rules-{safety().rules.version}")
    assert (verdict.level, verdict.purpose) == (Level.KIDS, Purpose.INPUT)


async def test_the_gravest_category_is_the_rule_and_all_are_named() -> None:
    verdict = await check("Scheiße, ein Hakenkreuz und eine Leiche")
    assert verdict.rule == "kids.hate_symbols"
    assert verdict.codes == ("hate_symbols", "violence", "profanity")
    assert verdict.terms == ("Scheiße", "Hakenkreuz", "Leiche")


@pytest.mark.parametrize(
    ("asked", "told"),
    [("", "en"), ("de", "de"), ("de-AT", "de"), ("DE", "de"), ("en-GB", "en"), ("ko", "en")],
)
async def test_explanations_come_in_the_language_asked_or_in_english(asked: str, told: str) -> None:
    verdict = await check("Hakenkreuz", language=asked)
    assert verdict.language == told
    expected = safety().explanations.of(told, Level.KIDS, "hate_symbols")
    assert verdict.explanation == expected.explanation
    assert verdict.suggestion == expected.suggestion


async def test_a_request_may_be_stricter_than_the_server_but_not_laxer() -> None:
    checker = checker_with(AnsweringJudge(()), Level.YOUTH)
    assert not (await checker.check(question("Ein Hund", Level.KIDS))).blocked
    for level in (Level.ADULT, Level.RESEARCH):
        with pytest.raises(PermissionDenied) as caught:
            await checker.check(question("Ein Hund", level))
        assert caught.value.reason == "SAFETY_LEVEL_TOO_LAX"
        assert caught.value.field == "level"


@pytest.mark.parametrize(
    "failure", [Unavailable("JUDGE_AWAY", "the judge is away"), ValueError("a defect")]
)
@pytest.mark.parametrize("text", ["Ein Hund im Regen", "Hakenkreuz", LONG])
async def test_a_judge_that_fails_is_an_error_and_never_a_verdict(
    failure: Exception, text: str
) -> None:
    with pytest.raises(type(failure)):
        await checker_with(AnsweringJudge(failure)).check(question(text))


async def test_what_a_judge_finds_counts_as_what_the_lists_find() -> None:
    judge = AnsweringJudge((Hit("violence", 2, ""),))
    verdict = await checker_with(judge).check(question("Ein Hund im Regen"))
    assert verdict.rule == "kids.violence"
    assert verdict.checks[-1] == "judge:builtin:1"
    assert verdict.used == ModelUsed("fake", "builtin:1")


async def test_a_judge_cannot_overrule_the_lists() -> None:
    verdict = await checker_with(AnsweringJudge(())).check(question("Hakenkreuz"))
    assert verdict.blocked


async def test_a_step_that_stops_spares_the_judge() -> None:
    judge = AnsweringJudge(())
    policy = safety().policy
    stopping: dict[tuple[Level, Purpose], Row] = {
        key: replace(row, steps=tuple(replace(step, on_hit=OnHit.STOP) for step in row.steps))
        for key, row in policy.rows.items()
    }
    changed = replace(safety(), policy=replace(policy, rows=stopping))
    checker = TextChecker(changed, [judge], Level.KIDS, Workers())
    verdict = await checker.check(question("Hakenkreuz"))
    assert verdict.blocked
    assert judge.asked == []
    await checker.check(question("Ein Hund"))
    assert judge.asked == ["Ein Hund"]


async def test_a_category_no_policy_knows_is_an_error_not_a_pass() -> None:
    judge = AnsweringJudge((Hit("unheard_of", 3, ""),))
    with pytest.raises(ArtlabError) as caught:
        await checker_with(judge).check(question("Ein Hund"))
    assert caught.value.reason == "UNKNOWN_CATEGORY"


async def test_long_texts_are_checked_off_the_loop_and_judged_alike() -> None:
    assert not (await check(LONG)).blocked
    assert (await check(LONG + "Hakenkreuz")).blocked
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    pulse = asyncio.create_task(beat())
    await check(("Ein schöner Hund bellt. " * 900)[:20_000])
    pulse.cancel()
    assert beats > 3


async def test_too_many_waiting_texts_are_refused_and_not_waved_through() -> None:
    workers = Workers(max_waiting=1)
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow() -> str:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(10)
        return "done"

    first = asyncio.create_task(workers.run(INLINE_CHARACTERS + 1, slow))
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted) as caught:
        await workers.run(INLINE_CHARACTERS + 1, slow)
    assert caught.value.reason == "SAFETY_BUSY"
    gate.set()
    assert await first == "done"


async def test_many_findings_are_shown_up_to_a_limit() -> None:
    words = [term for entry in safety().wordlist.entries for term in entry.terms]
    verdict = await check(". ".join(words[:200]))
    assert len(verdict.terms) == 20
    assert all(len(term) <= 100 for term in verdict.terms)


@pytest.mark.parametrize("language", ["de", "en"])
def test_explanations_for_kids_are_readable_by_a_ten_year_old(language: str) -> None:
    for category in safety().policy.categories:
        told = safety().explanations.of(language, Level.KIDS, category)
        text = f"{told.explanation} {told.suggestion}"
        for sentence in re.split(r"[.!?:]\s", text):
            words = re.findall(r"\w+", sentence)
            assert len(words) <= 16, sentence
            assert all(len(word) <= 16 for word in words), sentence
        assert "§" not in text


@pytest.mark.parametrize("language", ["de", "en"])
def test_every_level_and_category_has_an_explanation(language: str) -> None:
    for level in Level:
        for category in safety().policy.categories:
            told = safety().explanations.of(language, level, category)
            assert told.explanation != told.suggestion
