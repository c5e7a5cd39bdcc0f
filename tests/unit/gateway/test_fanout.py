"""Feeds: order, bounds, late and slow readers, and who ends the watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from services.gateway import fanout
from services.gateway.domain.run import Event
from services.gateway.fanout import MAX_HINTS, Fanout, Feed
from services.kit.clock import ManualClock, SystemClock
from services.kit.errors import (
    DataLoss,
    DeadlineExceeded,
    Internal,
    ResourceExhausted,
    Unavailable,
)
from services.kit.ids import RunId
from tests.support.eventually import eventually

ID = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")


def name(event: Event) -> bytes:
    return f"{event.kind}{'' if event.seq is None else event.seq} ".encode()


def fact(seq: int, final: bool = False) -> Event:
    return Event("f", {"state": "succeeded" if final else "running"}, seq=seq, final=final)


HINT = Event("h", {})


class Script:
    """A watcher that plays one list per call; an error in it ends the call."""

    def __init__(self, *calls: list[Event | Exception]) -> None:
        self.calls = list(calls)
        self.asked: list[int] = []
        self.closed = 0

    async def watch_run(self, run_id: RunId, after_seq: int) -> AsyncGenerator[Event, None]:
        self.asked.append(after_seq)
        try:
            for item in self.calls.pop(0):
                if isinstance(item, Exception):
                    raise item
                yield item
            if not self.calls:
                await asyncio.Event().wait()
        finally:
            self.closed += 1


async def read_all(feed: Feed, after_seq: int = 0) -> bytes:
    found = b""
    with feed.subscription(after_seq) as subscription:
        while (news := await subscription.read(5)) is not None:
            found += news
    return found


def test_hints_keep_their_place_between_facts() -> None:
    feed = Feed(ID, name)
    with feed.subscription(0) as subscription:
        for event in (fact(1), HINT, fact(2), fact(3), HINT, HINT):
            feed.publish(event)
        assert subscription.take() == b"f1 h f2 f3 h h "
        assert subscription.take() == b""


def test_a_late_reader_gets_all_facts_and_no_old_hints() -> None:
    feed = Feed(ID, name)
    for event in (fact(1), HINT, fact(2)):
        feed.publish(event)
    with feed.subscription(0) as all_of_it, feed.subscription(1) as rest:
        feed.publish(HINT)
        assert all_of_it.take() == b"f1 f2 h "
        assert rest.take() == b"f2 h "


def test_a_slow_reader_loses_old_hints_and_no_fact() -> None:
    feed = Feed(ID, name)
    with feed.subscription(0) as slow:
        feed.publish(fact(1))
        for _ in range(MAX_HINTS + 500):
            feed.publish(HINT)
        feed.publish(fact(2))
        taken = slow.take()
    assert taken == b"f1 " + b"h " * MAX_HINTS + b"f2 "


def test_only_the_newest_preview_waits_for_a_slow_reader() -> None:
    feed = Feed(ID, name)
    with feed.subscription(0) as slow:
        for number in range(3):
            feed.publish(HINT)
            feed.publish(Event("preview", {"n": number}))
        assert slow.take() == b"h h h preview "
        feed.publish(Event("preview", {"n": 3}))
        assert slow.take() == b"preview "


def test_a_repeated_fact_is_dropped_and_a_gap_is_refused() -> None:
    feed = Feed(ID, name)
    feed.publish(fact(1))
    feed.publish(fact(1))
    assert feed.facts == [b"f1 "]
    with pytest.raises(Internal, match="EVENT_GAP"):
        feed.publish(fact(3))


async def test_a_feed_of_ends_takes_gaps_and_resumes_after_the_last_one() -> None:
    script = Script([fact(1), HINT, fact(4), Unavailable("AWAY", "x")], [fact(9, final=True)])
    async with Fanout(script, None, SystemClock(), 10) as fanout, fanout.listen(ID) as feed:
        await feed.ended.wait()
        assert (feed.final_state, feed.facts) == ("succeeded", [])
    assert script.asked == [0, 4]


async def test_a_watch_is_resumed_after_the_last_fact() -> None:
    script = Script(
        [fact(1), HINT, fact(2), Unavailable("AWAY", "x")],
        [DeadlineExceeded("DEADLINE", "x")],
        [],  # ends well, but too early
        [fact(2), fact(3, final=True)],
    )
    async with Fanout(script, name, SystemClock(), 10) as fanout, fanout.listen(ID) as feed:
        assert (await read_all(feed)).replace(b"h ", b"") == b"f1 f2 f3 "
        assert feed.final_state == "succeeded"
    assert script.asked == [0, 2, 2, 2]


async def test_an_error_that_is_no_absence_ends_the_feed_after_its_facts() -> None:
    script = Script([fact(1), DataLoss("RUN_QUARANTINED", "x")], [fact(1), fact(2, final=True)])
    async with Fanout(script, name, SystemClock(), 10) as fanout:
        async with fanout.listen(ID) as feed:
            with feed.subscription(0) as subscription:
                assert await subscription.read(5) == b"f1 "
                with pytest.raises(DataLoss):
                    await subscription.read(5)
            # Whoever comes next asks anew, though somebody still holds the broken one.
            async with fanout.listen(ID) as fresh:
                assert fresh is not feed
                assert await read_all(fresh) == b"f1 f2 "
        await eventually(lambda: fanout.watches == 0)


async def test_a_defect_of_the_watch_ends_the_feed_and_nothing_else() -> None:
    script = Script([ZeroDivisionError()], [fact(1, final=True)])
    async with Fanout(script, name, SystemClock(), 10) as fanout:
        async with fanout.listen(ID) as feed:
            with pytest.raises(Internal):
                await read_all(feed)
        async with fanout.listen(ID) as feed:
            assert await read_all(feed) == b"f1 "


async def test_readers_share_a_watch_and_the_last_one_ends_it() -> None:
    script = Script([fact(1)])
    async with Fanout(script, name, SystemClock(), 10) as fanout:
        async with fanout.listen(ID) as one, fanout.listen(ID) as two:
            assert one is two
            with one.subscription(0) as subscription:
                assert await subscription.read(5) == b"f1 "
        await eventually(lambda: script.closed == 1)
        assert fanout.watches == 0


async def test_readers_have_a_number() -> None:
    async with Fanout(Script([]), name, SystemClock(), 1) as fanout, fanout.listen(ID):
        with pytest.raises(ResourceExhausted, match="TOO_MANY_READERS"):
            async with fanout.listen(ID):
                pass


async def test_draining_wakes_every_reader_and_lets_nobody_in() -> None:
    async with Fanout(Script([fact(1)]), name, SystemClock(), 10) as fanout:
        async with fanout.listen(ID) as feed:
            reading = asyncio.ensure_future(read_all(feed))
            await eventually(lambda: feed.facts != [])
            await fanout.drain()
            with pytest.raises(Unavailable, match="DRAINING"):
                await reading
            with pytest.raises(Unavailable, match="DRAINING"):
                async with fanout.listen(ID):
                    pass


class Away:
    """Nobody is there: calls are refused after 9 s, or end well with nothing in them."""

    def __init__(self, clock: ManualClock) -> None:
        self.asked = 0
        self._clock = clock

    async def watch_run(self, run_id: RunId, after_seq: int) -> AsyncGenerator[Event, None]:
        self.asked += 1
        self._clock.advance(9.0)
        if self.asked % 2:
            raise Unavailable("AWAY", "x")
        for event in list[Event]():
            yield event


async def test_a_recorder_that_stays_away_ends_the_feed_after_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout, "MAX_BACKOFF_SECONDS", 0.01)
    clock = ManualClock()
    away = Away(clock)
    async with Fanout(away, name, clock, 10) as feeds, feeds.listen(ID) as feed:
        with pytest.raises(Unavailable):
            await read_all(feed)
    assert away.asked == 7


def committed(seq: int, kind: str, **metadata: str) -> Event:
    return Event("entity_committed", {"sequence": seq, "type": kind, "metadata": metadata}, seq=seq)


def test_a_feed_knows_whether_its_run_waits_for_a_person() -> None:
    feed = Feed(ID, name)
    assert (feed.asked.is_set(), feed.answered.is_set()) == (False, True)
    feed.publish(committed(1, "question"))
    feed.publish(committed(2, "question"))
    feed.publish(committed(3, "decision", question="1"))
    assert (feed.asked.is_set(), feed.answered.is_set()) == (True, False)
    feed.publish(committed(4, "decision", question="2"))
    assert (feed.asked.is_set(), feed.answered.is_set()) == (False, True)
