"""Many watchers, and one that does not read: every fact once and in order, and nobody waits."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import run_pb2
from tests.faults.chaos_proxy import ChaosProxy
from tests.faults.disturbed import RESEARCH, Stub, stub_at
from tests.faults.recorder_process import RecorderProcess
from tests.integration.recorder.harness import entity, plan
from tests.support.eventually import eventually

MIB = 1024 * 1024
CHANNELS = 4
WATCH_SECONDS = 50.0
CALL_SECONDS = 20.0
WRITERS = 16
# A watch is two coroutines, a queue of hints and a stream of gRPC; an open run is held in memory.
BYTES_PER_WATCHER = 64 * 1024
BYTES_PER_RUN = 32 * 1024
STUCK = 40
MANY = [400, pytest.param(1000, marks=pytest.mark.long)]
PREVIEW_BYTES, HINTS, HINT_CALLS = 60 * 1024, 60, 60
# 64 hints are kept, once for all; each stream holds what its window lets pass. 211 MiB are sent.
MOST_FOR_STUCK_BYTES = 96 * MIB


@pytest.fixture
def process(tmp_path: Path) -> Iterator[RecorderProcess]:
    process = RecorderProcess(tmp_path / "runs", tmp_path / "log")
    try:
        process.wait_until_serving()
        yield process
    finally:
        process.kill()


@asynccontextmanager
async def stubs(target: str) -> AsyncIterator[list[Stub]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(stub_at(target)) for _ in range(CHANNELS)]


def memory_bytes(process: RecorderProcess, field: str = "VmRSS") -> int:
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) * 1024


async def create(stub: Stub) -> str:
    request = pb.CreateRunRequest(request_id=str(uuid.uuid4()), run=plan())
    return (await stub.CreateRun(request, timeout=CALL_SECONDS)).run.name


async def live(stub: Stub, run: str, entities: int) -> int:
    """The life of a run after its creation; returns how many facts there are in the end."""
    progress = pb.SetProgressRequest(name=run, stage=1, step="one")
    await stub.SetProgress(progress, timeout=CALL_SECONDS)
    for number in range(entities):
        upload = f"{run}/uploads/e{number}"
        thing = entity("interception_pass")
        request = pb.RecordEntityRequest(upload=upload, entity=thing, data=b"Eine Blume")
        await stub.RecordEntity(request, timeout=CALL_SECONDS)
    end = pb.FinalizeRunRequest(name=run, state=run_pb2.RUN_STATE_CANCELLED)
    ended = await stub.FinalizeRun(end, timeout=CALL_SECONDS)
    return ended.run.last_event_seq


@dataclass
class Crowd:
    """Watches that are open, and what each has seen."""

    seen: dict[int, list[int]] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    hints: Counter[int] = field(default_factory=Counter)

    def join(self, stub: Stub, run: str) -> None:
        """One more watcher."""
        number = len(self.tasks)
        self.seen[number] = []
        self.tasks.append(asyncio.create_task(self._watch(stub, run, number)))

    async def _watch(self, stub: Stub, run: str, number: int) -> None:
        request = pb.WatchRunRequest(name=run, audience=RESEARCH)
        async for update in stub.WatchRun(request, timeout=WATCH_SECONDS):
            if update.HasField("event"):
                self.seen[number].append(update.event.seq)
            else:
                self.hints[number] += 1

    async def all_watch(self) -> None:
        """Return once everybody has seen the first fact."""
        await eventually(lambda: all(self.seen.values()), WATCH_SECONDS, "all watch")

    async def each_saw_everything(self, facts: int) -> None:
        """Every watch has ended, and told every fact once and in order."""
        await asyncio.gather(*self.tasks)
        expected = list(range(1, facts + 1))
        assert all(seqs == expected for seqs in self.seen.values())


async def many_watch_one_run(process: RecorderProcess, watchers: int, entities: int) -> None:
    async with stubs(process.target) as at:
        run, crowd = await create(at[0]), Crowd()
        for number in range(watchers):
            crowd.join(at[number % CHANNELS], run)
        await crowd.all_watch()
        facts = await live(at[0], run, entities)
        await crowd.each_saw_everything(facts)


async def each_run_is_watched(process: RecorderProcess, runs: int, entities: int) -> None:
    async with stubs(process.target) as at:
        crowd = Crowd()
        names = iter(range(runs))
        created: list[tuple[Stub, str]] = []

        async def begin() -> None:
            for number in names:
                stub = at[number % CHANNELS]
                created.append((stub, await create(stub)))

        await asyncio.gather(*(begin() for _ in range(WRITERS)))
        for stub, run in created:
            crowd.join(stub, run)
        await crowd.all_watch()
        waiting = iter(created)

        async def go_on() -> int:
            facts = 0
            for stub, run in waiting:
                facts = await live(stub, run, entities)
            return facts

        facts = max(await asyncio.gather(*(go_on() for _ in range(WRITERS))))
        await crowd.each_saw_everything(facts)


@pytest.mark.parametrize("watchers", MANY)
async def test_many_watchers_of_one_run_see_every_fact_once(
    process: RecorderProcess, watchers: int
) -> None:
    before = memory_bytes(process)
    await many_watch_one_run(process, watchers, entities=20)
    assert memory_bytes(process, "VmHWM") - before < watchers * BYTES_PER_WATCHER


@pytest.mark.parametrize("runs", MANY)
async def test_many_runs_are_watched_at_the_same_time(process: RecorderProcess, runs: int) -> None:
    before = memory_bytes(process)
    await each_run_is_watched(process, runs, entities=1)
    assert memory_bytes(process, "VmHWM") - before < runs * (BYTES_PER_WATCHER + BYTES_PER_RUN)


async def test_watchers_whose_line_is_stuck_hold_up_nobody_and_miss_no_fact(
    process: RecorderProcess,
) -> None:
    async with ChaosProxy(process.target) as proxy, stubs(process.target) as at:
        run, stuck, others = await create(at[0]), Crowd(), Crowd()
        async with stubs(proxy.target) as behind:
            for number in range(STUCK):
                stuck.join(behind[number % CHANNELS], run)
            for stub in at:
                others.join(stub, run)
            await stuck.all_watch()
            await others.all_watch()
            proxy.hold_answers()
            before = memory_bytes(process)
            for _ in range(HINT_CALLS):
                await at[0].PublishHints(previews(run), timeout=CALL_SECONDS)
            facts = await live(at[0], run, entities=100)
            # Everything is written and everybody else has seen it, while nothing went that way.
            await others.each_saw_everything(facts)
            assert set(map(tuple, stuck.seen.values())) == {(1,)}
            assert memory_bytes(process, "VmHWM") - before < MOST_FOR_STUCK_BYTES
            proxy.release_answers()
            await stuck.each_saw_everything(facts)
            assert 0 < sum(stuck.hints.values()) < STUCK * HINTS * HINT_CALLS, "some were dropped"


def previews(run: str) -> pb.PublishHintsRequest:
    """As many and as large hints as one call takes."""
    data = bytes(PREVIEW_BYTES)
    preview = run_pb2.Preview(output_index=1, media_type="image/jpeg", data=data)
    return pb.PublishHintsRequest(name=run, hints=[run_pb2.Hint(preview=preview)] * HINTS)
