"""A judge that must be there and is not: the service says so by its health, until it is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import grpc.aio
import pytest

from services.kit.channel import channel_is_serving, open_channel
from services.kit.errors import FailedPrecondition, Unavailable
from services.kit.server import GrpcServer
from services.safety.judge.watch import WatchedJudge
from services.safety.ports import LANGUAGE_MODEL, Opinion, Question
from tests.support.eventually import eventually
from tests.unit.safety.support import AnsweringJudge

AWAY = Unavailable("SAFETY_UNAVAILABLE", "away")
NO_MODEL = FailedPrecondition("TEXT_JUDGE_MODEL_NOT_FOUND", "no such model")


class SwitchedJudge(AnsweringJudge):
    """A judge that can be taken away."""

    def __init__(self) -> None:
        super().__init__((), LANGUAGE_MODEL, elsewhere=True)
        self.trouble: Exception | None = None
        self.tried = 0

    async def load(self) -> None:
        self.tried += 1
        if self.trouble is not None:
            raise self.trouble

    async def judge(self, question: Question) -> Opinion:
        if self.trouble is not None:
            raise self.trouble
        return await super().judge(question)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.safety.judge.watch.FIRST_PAUSE_SECONDS", 0.005)
    monkeypatch.setattr("services.safety.judge.watch.LONGEST_PAUSE_SECONDS", 0.01)


@asynccontextmanager
async def watched(
    judge: SwitchedJudge, *, required: bool = True
) -> AsyncIterator[tuple[WatchedJudge, grpc.aio.Channel]]:
    server = GrpcServer("safety", serving=not required)
    watch = WatchedJudge(judge, server.set_serving if required else None)
    task = asyncio.create_task(watch.run())
    port = await server.start("127.0.0.1:0")
    try:
        async with open_channel(f"127.0.0.1:{port}") as channel:
            yield watch, channel
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await server.stop(0.1)


QUESTION = Question("Ein Hund", None, (), None, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("trouble", [AWAY, NO_MODEL])
async def test_a_service_serves_while_its_judge_is_there(trouble: Exception) -> None:
    judge = SwitchedJudge()
    judge.trouble = trouble
    async with watched(judge) as (watch, channel):

        async def serves() -> bool:
            return await channel_is_serving(channel, 2)

        await eventually(lambda: judge.tried > 3)
        assert not await serves()
        judge.trouble = None
        await eventually(serves)
        assert (await watch.judge(QUESTION)).hits == ()
        tried = judge.tried
        judge.trouble = trouble
        with pytest.raises(type(trouble)):
            await watch.judge(QUESTION)
        await eventually(lambda: judge.tried > tried)
        await eventually(lambda: not_(serves()))
        judge.trouble = None
        await eventually(serves)


async def not_(condition: object) -> bool:
    return not await condition  # type: ignore[misc]


async def test_an_odd_answer_is_not_taken_for_absence() -> None:
    judge = SwitchedJudge()
    async with watched(judge) as (watch, channel):
        await eventually(lambda: channel_is_serving(channel, 2))
        judge.trouble = FailedPrecondition("TEXT_JUDGE_EMPTY", "nothing")
        with pytest.raises(FailedPrecondition):
            await watch.judge(QUESTION)
        judge.trouble = None
        await watch.judge(QUESTION)
        assert judge.tried == 1
        assert await channel_is_serving(channel, 2)


async def test_a_judge_that_can_be_done_without_stops_nobody() -> None:
    judge = SwitchedJudge()
    judge.trouble = AWAY
    async with watched(judge, required=False) as (_, channel):
        await eventually(lambda: judge.tried > 3)
        assert await channel_is_serving(channel, 2)
