"""Watching a run: facts without gap or repeat, hints where there is room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from services.recorder.watcher import MAX_WAITING_HINTS, Watcher
from tests.integration.recorder.harness import World, entity, until
from tests.support.rpc import refused


@asynccontextmanager
async def watching(world: World, name: str, after_seq: int = 0) -> AsyncIterator[Any]:
    call = world.stub.WatchRun(
        pb.WatchRunRequest(name=name, after_seq=after_seq, audience=run_pb2.AUDIENCE_RESEARCH),
        timeout=20,
    )
    try:
        yield call
    finally:
        call.cancel()


def delta(text: str) -> run_pb2.Hint:
    return run_pb2.Hint(text_delta=run_pb2.TextDelta(entity_type="interception", text=text))


async def publish(world: World, name: str, *hints: run_pb2.Hint) -> None:
    await world.call("PublishHints", pb.PublishHintsRequest(name=name, hints=hints))


async def a_whole_life(world: World, name: str) -> None:
    await world.call("SetProgress", pb.SetProgressRequest(name=name, stage=1, step="one"))
    for number in range(20):
        await world.record(f"{name}/uploads/e{number}", b"text", entity("interception"))
    await world.finalize(name, run_pb2.RUN_STATE_CANCELLED)


async def test_a_watch_tells_every_fact_once_and_ends_with_the_run(served: World) -> None:
    name = await served.create()
    async with watching(served, name) as call:
        living = asyncio.create_task(a_whole_life(served, name))
        events = [update.event async for update in call]
        await living
    run = await served.get(name)
    assert [event.seq for event in events] == list(range(1, run.last_event_seq + 1))
    assert events[0].state_changed.state == run_pb2.RUN_STATE_PENDING
    assert events[1].state_changed.state == run_pb2.RUN_STATE_RUNNING
    assert events[2].stage_started.progress.step == "one"
    committed = [e.entity_committed.entity for e in events if e.HasField("entity_committed")]
    assert committed == list(run.entities)
    assert events[-2].output_finished.output == run.outputs[0]
    assert events[-1].state_changed.state == run_pb2.RUN_STATE_CANCELLED


async def test_a_watch_of_turns_tells_ends_and_questions_only(served: World) -> None:
    name = await served.create()
    request = pb.WatchRunRequest(name=name, audience=run_pb2.AUDIENCE_RESEARCH, turns_only=True)
    call = served.stub.WatchRun(request, timeout=20)
    updates = aiter(call)
    first = await anext(updates)
    await publish(served, name, delta("not told"))
    await served.record(f"{name}/uploads/q", b"{}", entity("question"))
    await a_whole_life(served, name)
    facts = [first.event, *[update.event async for update in updates]]
    told = [fact.WhichOneof("payload") for fact in facts]
    assert told == ["state_changed", "entity_committed", "state_changed", "state_changed"]
    assert facts[1].entity_committed.entity.type == "question"
    assert facts[-1].seq == (await served.get(name)).last_event_seq


async def test_a_watch_resumes_anywhere_without_gap_or_repeat(served: World) -> None:
    name = await served.create()
    await a_whole_life(served, name)
    last = (await served.get(name)).last_event_seq
    for after in (0, 1, last - 1, last):
        async with watching(served, name, after) as call:
            seen = [update.event.seq async for update in call]
        assert seen == list(range(after + 1, last + 1))


async def test_a_watch_goes_on_where_the_server_was_restarted(served: World) -> None:
    name = await served.create()
    async with watching(served, name) as call:
        assert (await call.read()).event.seq == 1
        async with refused("UNAVAILABLE", "DRAINING") as seen:
            await served.recorder.drain()
            await call.read()
            await call
    assert seen.retry_after_seconds is not None
    await served.restart()
    async with watching(served, name, 1) as call:
        await served.finalize(name, run_pb2.RUN_STATE_CANCELLED)
        assert [update.event.seq async for update in call] == [2, 3]


async def test_a_seq_that_was_never_is_out_of_range(served: World) -> None:
    name = await served.create()
    async with watching(served, name, 2) as call, refused("OUT_OF_RANGE", field="after_seq"):
        await call.read()
        await call


async def test_a_watcher_of_a_deleted_run_is_told(served: World) -> None:
    name = await served.create()
    async with watching(served, name) as call:
        await call.read()
        async with refused("NOT_FOUND", "RUN_NOT_FOUND"):
            await served.call("DeleteRun", pb.DeleteRunRequest(name=name))
            await call.read()
            await call


async def test_hints_come_before_the_facts_that_follow_them(served: World) -> None:
    name = await served.create()
    async with watching(served, name) as call:
        assert (await call.read()).event.seq == 1
        await publish(served, name, delta("Ei"), delta("Ein"))
        await served.record(f"{name}/uploads/e", b"Ein", entity("interception"))
        await publish(served, name, delta("later"))
        texts = []
        for _ in range(4):
            update = await call.read()
            texts.append(update.hint.text_delta.text or update.event.seq)
    assert texts == ["Ei", "Ein", 2, "later"]


async def test_hints_nobody_watches_are_dropped(served: World) -> None:
    name = await served.create()
    await publish(served, name, delta("x"))
    await served.finalize(name, run_pb2.RUN_STATE_CANCELLED)
    await publish(served, name, delta("x"))
    async with watching(served, name) as call:
        updates = [update async for update in call]
    assert all(update.HasField("event") for update in updates)


async def test_hints_for_an_unknown_run_are_refused(served: World) -> None:
    async with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        await served.stub.PublishHints(
            pb.PublishHintsRequest(
                name="runs/528e5af9-59b3-4551-b101-27e13dd6e43e", hints=[delta("x")]
            )
        )


async def test_a_watcher_that_does_not_read_holds_up_nobody(served: World) -> None:
    name = await served.create()
    big = delta("x" * 20_000)
    async with watching(served, name) as call:
        updates = aiter(call)
        assert (await anext(updates)).event.seq == 1
        # Far more than the connection takes in: 400 × 20 kB, and nobody reads.
        for _ in range(40):
            await publish(served, name, *[big] * 10)
        started = time.monotonic()
        for number in range(20):
            await served.record(f"{name}/uploads/e{number}", b"text", entity("interception"))
        assert time.monotonic() - started < 5
        await served.finalize(name, run_pb2.RUN_STATE_CANCELLED)
        rest = [update async for update in updates]
    seqs = [update.event.seq for update in rest if update.HasField("event")]
    assert seqs == list(range(2, 24))
    hints = sum(update.HasField("hint") for update in rest)
    assert hints < 400, "some were dropped"


async def test_a_hundred_watchers_see_the_same(served: World) -> None:
    name = await served.create()

    async def follow() -> list[int]:
        async with watching(served, name) as call:
            return [update.event.seq async for update in call]

    followers = [asyncio.create_task(follow()) for _ in range(100)]
    await a_whole_life(served, name)
    seen = await asyncio.gather(*followers)
    last = (await served.get(name)).last_event_seq
    assert all(one == list(range(1, last + 1)) for one in seen)


async def test_a_watcher_that_leaves_is_forgotten(
    served: World, caplog: pytest.LogCaptureFixture
) -> None:
    name = await served.create()
    async with watching(served, name) as call:
        await call.read()
        assert served.recorder.watchers == 1
    await until(lambda: served.recorder.watchers == 0)
    # And one that leaves while it is being sent to.
    async with watching(served, name) as call:
        await call.read()
        for _ in range(40):
            await publish(served, name, *[delta("x" * 20_000)] * 10)
    await until(lambda: served.recorder.watchers == 0)
    assert not [one for one in caplog.records if "never retrieved" in one.getMessage()]


async def test_the_queue_of_hints_forgets_the_oldest() -> None:
    watcher = Watcher()
    watcher.offer(1, list(range(MAX_WAITING_HINTS + 1)))
    assert watcher.take(0) == []
    assert watcher.take(1) == list(range(1, MAX_WAITING_HINTS + 1))
