from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress

import pytest

from services.interception.providers import line as module
from services.interception.providers.line import Line, Ticket
from services.kit.errors import ResourceExhausted
from tests.support.eventually import eventually

FAR = 1e9


def soon() -> float:
    return asyncio.get_running_loop().time() + 0.05


async def places_of(line: Line, ticket: Ticket, into: list[int]) -> None:
    async for place in line.places(ticket, FAR):
        into.append(place)


async def test_who_finds_a_free_turn_does_not_wait_and_is_told_no_place() -> None:
    line, told = Line(1, 4), list[int]()
    with line.stand("anna") as ticket:
        await places_of(line, ticket, told)
        assert (line.running, line.waiting) == (1, 0)
    assert told == []
    assert line.running == 0


async def test_turns_go_round_between_people() -> None:
    line, order = Line(1, 16), list[str]()

    async def ask(name: str) -> None:
        with line.stand(name.rstrip("123")) as ticket:
            await places_of(line, ticket, [])
            order.append(name)

    with line.stand("first"):
        tasks = [
            asyncio.create_task(ask(name)) for name in ("anna1", "anna2", "anna3", "ben1", "cem1")
        ]
        await eventually(lambda: line.waiting == 5)
    await asyncio.gather(*tasks)
    assert order == ["anna1", "ben1", "cem1", "anna2", "anna3"]


async def test_a_place_is_told_at_once_and_when_it_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TELL_SECONDS", 0.005)
    line, told = Line(1, 4), list[int]()
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(line.stand("a"))
        ahead = second.enter_context(line.stand("b"))
        with line.stand("c") as ticket:
            task = asyncio.create_task(places_of(line, ticket, told))
            await eventually(lambda: told == [2])
            first.close()
            assert ahead.granted.done()
            await eventually(lambda: told == [2, 1])
            second.close()
            await task
    assert told == [2, 1]


async def test_a_full_line_sends_away_and_says_when_to_come_back() -> None:
    line = Line(1, 1)
    with line.stand("a"), line.stand("b"):
        with pytest.raises(ResourceExhausted) as caught, line.stand("c"):
            pass
        assert caught.value.reason == "LLM_BUSY"
        assert caught.value.retry_after_seconds is not None
        assert caught.value.retry_after_seconds >= 1


async def test_a_turn_that_does_not_come_in_time_is_given_up_and_leaves_no_trace() -> None:
    line = Line(1, 1)
    with line.stand("a"):
        with pytest.raises(ResourceExhausted, match="in time"), line.stand("b") as ticket:
            async for _ in line.places(ticket, soon()):
                pass
        assert (line.running, line.waiting) == (1, 0)


async def test_who_leaves_gives_his_place_and_his_turn_to_the_next() -> None:
    line, told = Line(1, 4), list[int]()
    with ExitStack() as holder:
        holder.enter_context(line.stand("a"))
        with line.stand("c") as ticket:
            leaving = line.stand("b")
            leaving.__enter__()
            leaving.__exit__(None, None, None)
            task = asyncio.create_task(places_of(line, ticket, told))
            await eventually(lambda: told == [1])
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        assert line.waiting == 0
    assert told == [1]
    assert line.running == 0


async def test_never_more_than_allowed_at_once() -> None:
    line, most = Line(3, 100), 0

    async def ask(number: int) -> None:
        nonlocal most
        with line.stand(f"person {number % 7}") as ticket:
            await places_of(line, ticket, [])
            most = max(most, line.running)
            await asyncio.sleep(0)

    await asyncio.gather(*(ask(number) for number in range(60)))
    assert most == 3
    assert (line.running, line.waiting) == (0, 0)
