"""A language model that judges texts: long ones, many at once, and without it."""

from __future__ import annotations

import asyncio

import pytest

from artlab.safety.v1 import safety_pb2
from services.safety.domain.policy import OnFailure
from services.safety.judge.text_pieces import OVERLAP_CHARACTERS, PIECE_CHARACTERS
from tests.fakes.openai_server import Answering, Asked, Never, Say, Status
from tests.integration.safety.text_server import answers, check, finds, judging, with_failure
from tests.support.eventually import eventually
from tests.support.rpc import refused

SECRET = "Ein Quastenflosser im Regen"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.safety.judge.model_client.BACKOFF_SECONDS", 0.005)


LONG = " ".join(f"Es waren einmal {number} Wiesen, Wälder und Flüsse." for number in range(500))


async def test_a_long_text_is_asked_about_in_pieces_and_each_counts() -> None:
    last = f"{LONG[:19_900]}Zwetschge"

    def make(asked: Asked) -> Say:
        line = finds(weapons=3) if "Zwetschge" in asked.user else finds()
        return line.make(asked)

    async with judging(Answering(make), at_once=2) as (stub, fake):
        assert (await check(stub, last)).rule == "kids.weapons"
        assert fake.open_most <= 2
    sent = [asked.user[10:-10] for asked in fake.requests]
    assert all(len(piece) <= PIECE_CHARACTERS for piece in sent)
    in_order = sorted(sent, key=last.index)
    joined = in_order[0] + "".join(piece[OVERLAP_CHARACTERS:] for piece in in_order[1:])
    assert joined == last


async def test_one_piece_that_could_not_be_judged_spoils_the_verdict() -> None:
    def make(asked: Asked) -> Say:
        return Say("") if "Zwetschge" in asked.user else finds().make(asked)

    async with judging(Answering(make)) as (stub, _):
        async with refused("FAILED_PRECONDITION", "TEXT_JUDGE_EMPTY"):
            await check(stub, f"{LONG[:19_900]}Zwetschge")


async def test_more_than_may_wait_are_sent_away_and_told_when_to_come_back() -> None:
    async with judging(Never(), at_once=1, waiting=1, timeout_seconds=20) as (stub, fake):
        first = asyncio.ensure_future(check(stub, SECRET))
        await eventually(lambda: len(fake.requests) == 1)
        second = asyncio.ensure_future(check(stub, SECRET))
        outcomes: list[str] = []

        async def ask() -> None:
            async with refused("RESOURCE_EXHAUSTED", "SAFETY_BUSY") as seen:
                await check(stub, SECRET)
            outcomes.append(f"{seen.retry_after_seconds:g}")

        # Whichever of two comes later finds no room.
        third = asyncio.ensure_future(ask())
        await asyncio.wait({second, third}, return_when=asyncio.FIRST_COMPLETED)
        assert outcomes == ["5"]
        for call in (first, second):
            call.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        async with asyncio.timeout(5):
            await fake.abandoned.wait()


async def test_where_the_policy_says_so_the_rules_are_enough_while_the_model_is_away() -> None:
    policy = with_failure(OnFailure.BUILTIN)
    async with judging(Status(503), policy=policy) as (stub, _):
        verdict = await check(stub, SECRET)
        assert verdict.decision == safety_pb2.DECISION_SAFE
        # Nobody who did not judge is named.
        assert verdict.checks[-1].startswith("judge:builtin:")
        assert (await check(stub, "Ein Hakenkreuz")).decision == safety_pb2.DECISION_BLOCKED
    for line in (Say(""), finds("unsafe"), answers({"ticket": "00000000"})):
        async with judging(line, policy=policy) as (stub, _):
            # A text could make it answer so, and would be rid of it.
            async with refused("FAILED_PRECONDITION"):
                await check(stub, SECRET)
