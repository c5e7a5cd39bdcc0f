"""Server-sent events: at once, in order, without gap or repeat, one watch for all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse

from artlab.common.v1 import common_pb2
from artlab.recorder.v1 import run_pb2
from services.gateway import events
from services.gateway.events import event_stream
from services.kit.errors import DataLoss, Unavailable
from services.kit.ids import RunId
from tests.fakes.orchestrator import succeed
from tests.integration.gateway.world import RUN, World, gateway
from tests.support.eventually import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = f"/api/pipeline/{RUN}/events"
IMAGE = ("sd35_large", common_pb2.MEDIA_KIND_IMAGE)


@dataclass
class Seen:
    """One event as a client reads it."""

    kind: str
    id: str | None
    data: dict[str, Any]


class Reader:
    """Reads events off an open response."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def block(self) -> dict[str, str]:
        """The next block of lines; {} at the end."""
        found: dict[str, str] = {}
        async for line in self._lines:
            if line == "" and found:
                return found
            name, _, value = line.partition(": ")
            found[name] = value
        return found

    async def next(self) -> Seen | None:
        """The next event; None at the end."""
        async with asyncio.timeout(10):
            while found := await self.block():
                if "event" in found:
                    return Seen(found["event"], found.get("id"), json.loads(found["data"]))
        return None

    async def rest(self) -> list[Seen]:
        """All events until the end."""
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found


@asynccontextmanager
async def reading(world: World, last_event_id: int | None = None) -> AsyncIterator[Reader]:
    headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
    async with world.client.stream("GET", PATH, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        yield Reader(response)


async def wait_for_watch(world: World) -> None:
    await eventually(lambda: bool(world.recorder.open_watches))


async def test_a_warning_is_told_as_a_fact(world: World) -> None:
    world.recorder.create(RUN, IMAGE)
    world.recorder.warn(RUN, "DEADLINE_NEAR", "most of it is over", 1)
    async with reading(world, last_event_id=1) as reader:
        told = await reader.next()
    assert told is not None
    assert (told.kind, told.id) == ("warning", "2")
    del told.data["time"]
    assert told.data == {
        "reason": "DEADLINE_NEAR",
        "message": "most of it is over",
        "output_index": 1,
    }


async def test_an_erasure_is_told_as_a_fact(world: World) -> None:
    world.recorder.create(RUN, IMAGE)
    world.recorder.commit(RUN, "input", b"Eine Blume")
    world.recorder.erase(RUN, 1, "SAFETY_BLOCKED")
    async with reading(world, last_event_id=2) as reader:
        told = await reader.next()
    assert told is not None
    assert (told.kind, told.id) == ("entity_erased", "3")
    assert told.data | {"time": ""} == {"time": "", "sequence": 1, "reason": "SAFETY_BLOCKED"}


async def test_the_first_bytes_come_at_once_and_facts_as_they_happen(world: World) -> None:
    world.recorder.create(RUN, IMAGE)
    async with reading(world) as reader:
        assert await reader.block() == {"": "welcome"}
        first = await reader.next()
        assert first is not None
        assert (first.kind, first.id) == ("state_changed", "1")
        assert first.data["state"] == "pending"
        world.recorder.stage(RUN, 2, "interception")
        second = await reader.next()
        assert second is not None
        assert second.kind == "stage_started"
        assert second.data["step"] == "interception"


async def test_every_kind_of_event_has_its_documented_shape(world: World) -> None:
    recorder = world.recorder
    recorder.create(RUN, IMAGE)
    async with reading(world) as reader:
        assert (await reader.next()) is not None
        recorder.state(RUN, run_pb2.RUN_STATE_RUNNING)
        delta = run_pb2.TextDelta(entity_type="interception", offset=3, text="Blüte\n\nx")
        recorder.hint(RUN, run_pb2.Hint(text_delta=delta))
        progress = run_pb2.RenderProgress(
            output_index=1,
            phase=run_pb2.RENDER_PHASE_EXECUTING,
            fraction=0.25,
            queue_position=2,
            attempt=1,
            instance="a",
            node="KSampler",
        )
        progress.remaining.FromMilliseconds(1500)
        recorder.hint(RUN, run_pb2.Hint(render_progress=progress))
        preview = run_pb2.Preview(output_index=1, media_type="image/jpeg", data=b"unchecked")
        recorder.hint(RUN, run_pb2.Hint(preview=preview))
        recorder.commit(
            RUN, "output_image", b"png", media_type="image/png", suffix="png", output_index=1
        )
        error = run_pb2.RunError(reason="COMFY_LOST", message="gone", stage=4)
        recorder.output(RUN, 1, run_pb2.RUN_STATE_FAILED, error)
        recorder.state(RUN, run_pb2.RUN_STATE_FAILED, error)
        seen = await reader.rest()
    assert [(e.kind, e.id) for e in seen] == [
        ("state_changed", "2"),
        ("text_delta", None),
        ("render_progress", None),
        ("entity_committed", "3"),
        ("output_finished", "4"),
        ("state_changed", "5"),
    ]
    assert seen[0].data["state"] == "running"
    assert seen[0].data["error"] is None
    assert seen[1].data == {
        "entity_type": "interception",
        "pass": 0,
        "offset": 3,
        "text": "Blüte\n\nx",
    }
    assert seen[2].data == {
        "output_index": 1,
        "phase": "executing",
        "fraction": 0.25,
        "queue_position": 2,
        "attempt": 1,
        "instance": "a",
        "node": "KSampler",
        "remaining_seconds": 1.5,
    }
    entity = seen[3].data
    assert entity["url"] == f"/api/pipeline/{RUN}/entities/1"
    assert entity["models_used"] == [{"task": "output_image", "backend": "builtin", "model": ""}]
    assert entity["metadata"] == {"technique": "cut_up"}
    assert entity["pass"] == 0
    finished = seen[4].data
    del finished["time"]
    assert finished == {
        "index": 1,
        "config": "sd35_large",
        "occurrence": 1,
        "media_type": "image",
        "status": "failed",
        "reason": "COMFY_LOST",
    }
    assert seen[5].data["error"]["reason"] == "COMFY_LOST"


async def test_last_event_id_goes_on_after_it_without_gap_or_repeat(world: World) -> None:
    world.recorder.create(RUN, IMAGE)
    await succeed(world.recorder, RUN, None)  # type: ignore[arg-type]
    count = len(world.recorder.runs[RUN].events)
    async with reading(world) as reader:
        everything = await reader.rest()
    assert [e.id for e in everything] == [str(n) for n in range(1, count + 1)]
    async with reading(world, last_event_id=7) as reader:
        assert [e.id for e in await reader.rest()] == [str(n) for n in range(8, count + 1)]


async def test_a_client_that_has_seen_the_end_is_told_not_to_come_back(world: World) -> None:
    world.recorder.create(RUN)
    world.recorder.state(RUN, run_pb2.RUN_STATE_CANCELLED)
    response = await world.client.get(PATH, headers={"Last-Event-ID": "2"})
    assert response.status_code == 204


@pytest.mark.parametrize(
    ("value", "status"), [("3", 416), ("x", 422), ("-1", 422), ("1e3", 422), ("9" * 16, 422)]
)
async def test_an_event_id_of_nobody_is_refused(world: World, value: str, status: int) -> None:
    world.recorder.create(RUN)
    response = await world.client.get(PATH, headers={"Last-Event-ID": value})
    assert response.status_code == status
    assert response.json()["field"] == "Last-Event-ID"


async def test_an_unknown_run_is_404_before_anything_is_sent(world: World) -> None:
    assert (await world.client.get(PATH)).status_code == 404


async def test_a_recorder_that_goes_away_leaves_no_gap_and_no_repeat(world: World) -> None:
    recorder = world.recorder
    recorder.create(RUN, IMAGE)
    async with reading(world) as reader:
        assert (await reader.next()) is not None
        await wait_for_watch(world)
        recorder.failures["WatchRun"] = [Unavailable("AWAY", "restarting") for _ in range(6)]
        recorder.cut_watches(RUN, Unavailable("DRAINING", "stopping"))
        await succeed(recorder, RUN, None)  # type: ignore[arg-type]
        seen = await reader.rest()
    assert [e.id for e in seen] == [str(n) for n in range(2, len(recorder.runs[RUN].events) + 1)]
    assert seen[-1].data["state"] == "succeeded"


async def test_a_watch_that_cannot_go_on_says_so_and_ends(world: World) -> None:
    world.recorder.create(RUN)
    async with reading(world) as reader:
        assert (await reader.next()) is not None
        await wait_for_watch(world)
        world.recorder.cut_watches(RUN, DataLoss("RUN_QUARANTINED", "damaged"))
        (problem,) = await reader.rest()
    assert problem.kind == "problem"
    assert problem.id is None
    assert problem.data == {"reason": "RUN_QUARANTINED", "retryable": False}


async def test_many_readers_of_one_run_share_one_watch(world: World) -> None:
    world.recorder.create(RUN, IMAGE)
    async with reading(world) as one, reading(world) as two, reading(world, 1) as three:
        assert (await one.next()) is not None
        assert (await two.next()) is not None
        await succeed(world.recorder, RUN, None)  # type: ignore[arg-type]
        seen = await asyncio.gather(one.rest(), two.rest(), three.rest())
        assert world.recorder.calls["WatchRun"] == 1
    assert seen[0] == seen[1] == seen[2]
    await eventually(lambda: not world.fanout.watches)


async def test_the_last_reader_to_leave_ends_the_watch(world: World) -> None:
    world.recorder.create(RUN)
    async with reading(world) as reader:
        assert (await reader.next()) is not None
        await wait_for_watch(world)
    await eventually(lambda: not world.recorder.open_watches)


async def test_silence_is_filled_with_heartbeats(world: World) -> None:
    world.recorder.create(RUN)
    stream = event_stream(world.fanout, RunId(RUN), 1, heartbeat_seconds=0.05)
    chunks = [await anext(stream) for _ in range(4)]
    await stream.aclose()  # type: ignore[attr-defined]
    assert chunks[0] == b": welcome\n\n"
    assert chunks[1:] == [b": still here\n\n"] * 3
    # Proxies cut silent streams after 15 s.
    assert events.HEARTBEAT_SECONDS <= 10


async def test_a_server_that_stops_ends_its_streams() -> None:
    async with gateway() as world:
        world.recorder.create(RUN)
        async with reading(world) as reader:
            assert (await reader.next()) is not None
            await world.fanout.drain()
            (problem,) = await reader.rest()
        assert problem.data == {"reason": "DRAINING", "retryable": True}
        assert (await world.client.get(PATH)).status_code == 503


async def test_streams_have_a_number() -> None:
    async with gateway(max_readers=1) as world:
        world.recorder.create(RUN)
        async with reading(world) as reader:
            assert (await reader.next()) is not None
            refused = await world.client.get(PATH)
            assert refused.status_code == 429
            assert refused.json()["reason"] == "TOO_MANY_READERS"


async def test_an_sse_client_library_sees_the_events_and_nothing_else(world: World) -> None:
    world.recorder.create(RUN, IMAGE)
    await succeed(world.recorder, RUN, None)  # type: ignore[arg-type]
    async with aconnect_sse(world.client, "GET", PATH) as source:
        seen = [event async for event in source.aiter_sse()]
    assert [event.id for event in seen] == [str(n) for n in range(1, len(seen) + 1)]
    assert seen[0].retry == 500
    assert len(seen) == len(world.recorder.runs[RUN].events)
