"""What is asked twice at once is answered by whoever answers first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.gateway.hedged import first_answer
from services.kit.errors import ArtlabError, NotFound, Unavailable

Answer = str | ArtlabError | None


def peers(*answers: Answer) -> tuple[Callable[[], Awaitable[str]], list[str]]:
    """A call to one peer after another, and what became of the calls; None never answers."""
    told: list[str] = []
    left = list(answers)

    async def call() -> str:
        answer = left.pop(0)
        try:
            if answer is None:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("cut")
            raise
        if isinstance(answer, ArtlabError):
            told.append("refused")
            raise answer
        told.append("answered")
        return str(answer)

    return call, told


async def test_a_peer_that_answers_is_asked_once() -> None:
    call, told = peers("yes", "no")
    assert await first_answer(call, after_seconds=30.0) == "yes"
    assert told == ["answered"]


async def test_who_does_not_answer_is_left_for_another_one() -> None:
    call, told = peers(None, None, "yes")
    assert await first_answer(call, after_seconds=0.001) == "yes"
    assert sorted(told) == ["answered", "cut", "cut"]


async def test_an_error_waits_for_those_that_may_do_better() -> None:
    slow = asyncio.Event()
    begun = 0

    async def call() -> str:
        nonlocal begun
        begun += 1
        if begun == 1:
            await slow.wait()
            return "yes"
        slow.set()
        raise Unavailable("AWAY", "it is away")

    assert await first_answer(call, after_seconds=0.001) == "yes"


async def test_a_refusal_is_not_asked_for_again() -> None:
    call, told = peers(NotFound("RUN_NOT_FOUND", "no such run"), "yes")
    with pytest.raises(NotFound):
        await first_answer(call, after_seconds=30.0)
    assert told == ["refused"]


async def test_nobody_is_asked_without_end() -> None:
    call, told = peers(None, None, None, "too late")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await first_answer(call, after_seconds=0.001)
    assert told == ["cut"] * 3
