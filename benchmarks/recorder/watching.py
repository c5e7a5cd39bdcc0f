"""How soon a watcher knows of a commit."""

from __future__ import annotations

import asyncio
import statistics
import time

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from benchmarks.recorder.client import Bench, create_request, record_request
from benchmarks.table import Figure
from services.kit.channel import open_channel

PAUSE_SECONDS = 0.005


def watch_latency(bench: Bench, commits: int) -> dict[str, Figure]:
    """From the moment a small commit is sent to the moment a watcher has its fact."""
    sent, answered, known = asyncio.run(_measure(bench, commits))
    whole = [(there - begun) * 1000 for begun, there in zip(sent, known, strict=True)]
    after = [(there - said) * 1000 for said, there in zip(answered, known, strict=True)]
    cuts = statistics.quantiles(whole, n=100)
    what = "from sending a commit to its fact at a watcher, the commit included"
    return {
        "watch_p50_ms": Figure(cuts[49], "ms", what),
        "watch_p99_ms": Figure(cuts[98], "ms", what),
        "watch_after_answer_p50_ms": Figure(
            statistics.median(after), "ms", "the fact at a watcher after the answer to the writer"
        ),
    }


async def _measure(bench: Bench, commits: int) -> tuple[list[float], list[float], list[float]]:
    sent, answered, known = [], [], []
    async with (
        open_channel(bench.process.target) as writing,
        open_channel(bench.process.target) as watching,
    ):
        stub = recorder_pb2_grpc.RecorderServiceStub(writing)
        run = (await stub.CreateRun(create_request(), timeout=10)).run.name
        request = pb.WatchRunRequest(name=run, audience=run_pb2.AUDIENCE_RESEARCH)
        facts = recorder_pb2_grpc.RecorderServiceStub(watching).WatchRun(request, timeout=600)
        opened, all_known = asyncio.Event(), asyncio.Event()

        async def follow() -> None:
            async for fact in facts:
                opened.set()  # by the fact of the creation
                if fact.event.HasField("entity_committed"):
                    known.append(time.perf_counter())
                    if len(known) == commits:
                        all_known.set()
                        return

        follower = asyncio.create_task(follow())
        await opened.wait()
        for number in range(commits):
            sent.append(time.perf_counter())
            await stub.RecordEntity(record_request(run, number, b"text"), timeout=10)
            answered.append(time.perf_counter())
            await asyncio.sleep(PAUSE_SECONDS)
        await all_known.wait()
        await follower
    return sent, answered, known
