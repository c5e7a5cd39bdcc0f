"""Commits of 4 KiB: how long one takes, and how many there are in a second."""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from artlab.recorder.v1 import recorder_pb2 as pb
from artlab.recorder.v1 import recorder_pb2_grpc, run_pb2
from benchmarks.recorder.bare import BareRun
from benchmarks.recorder.client import Bench, create_request, record_request
from benchmarks.table import Figure
from services.kit.channel import open_channel

ENTITY_BYTES = 4096
COMMITS_PER_RUN = 20
TEXT = os.urandom(ENTITY_BYTES // 2).hex().encode()
# A disk groups the syncs of so many threads about as well as of more.
BARE_THREADS = 16


def commit_latency(bench: Bench, runs: int) -> dict[str, Figure]:
    """One client, one commit after another; every other run is written without the recorder."""
    ours: list[float] = []
    bare: list[float] = []
    empty: list[float] = []
    busy = 0.0
    for number in range(runs + 1):
        busy_before = bench.cpu_seconds()
        run, sizes, taken = _through_grpc(bench)
        busy += bench.cpu_seconds() - busy_before if number else 0.0
        if number:  # the first one warms up
            ours += taken
            empty += _calls_without_work(bench, run)
            bare += _bare(bench, sizes)
    ours_p50, ours_p99 = _percentiles(ours)
    bare_p50, bare_p99 = _percentiles(bare)
    what = f"{ENTITY_BYTES} B by gRPC, {COMMITS_PER_RUN} in each of {runs} runs"
    protocol = "the bare protocol in one process (2 files, 2 renames, 4 fsyncs)"
    return {
        "commit_p50_ms": Figure(ours_p50, "ms", what),
        "commit_p50_ratio": Figure(ours_p50 / bare_p50, "x", f"{protocol}, {bare_p50:.2f} ms"),
        "commit_p99_ms": Figure(ours_p99, "ms", what),
        "commit_p99_ratio": Figure(ours_p99 / bare_p99, "x", f"{protocol}, {bare_p99:.2f} ms"),
        "empty_call_p50_ms": Figure(
            statistics.median(empty), "ms", "a call to the same recorder that needs no disk"
        ),
        "commit_cpu_ms": Figure(
            busy * 1000 / len(ours), "ms", "processor time of the recorder for one of them"
        ),
    }


def commits_per_second(bench: Bench, rounds: int) -> dict[str, Figure]:
    """1, 8 and 64 runs at once, each with its next commit as soon as the last one is answered."""
    figures = {}
    for width in (1, 8, 64):
        runs = max(8, width)
        ours: list[float] = []
        bare: list[float] = []
        for _ in range(rounds):
            ours.append(asyncio.run(_rate_by_grpc(bench, width, runs)))
            bare.append(_bare_rate(bench, min(width, BARE_THREADS), runs))
        rate, limit = statistics.median(ours), statistics.median(bare)
        name = "commits_per_second" if width == 64 else f"commits_per_second_{width}"
        figures[name] = Figure(
            rate,
            "1/s",
            f"{width} runs at once; the bare protocol in {min(width, BARE_THREADS)} threads: "
            f"{limit:.0f}",
        )
        figures[f"{name}_ratio"] = Figure(rate / limit, "x", "the bare protocol in threads")
    return figures


def _through_grpc(bench: Bench) -> tuple[str, list[int], list[float]]:
    run = bench.create_run()
    document = bench.run_folder(run) / "metadata.json"
    sizes, taken = [], []
    for number in range(COMMITS_PER_RUN):
        request = record_request(run, number, TEXT)
        began = time.perf_counter()
        bench.stub.RecordEntity(request, timeout=10)
        taken.append((time.perf_counter() - began) * 1000)
        sizes.append(document.stat().st_size)
    return run, sizes, taken


def _calls_without_work(bench: Bench, run: str) -> list[float]:
    # A hint in a run that nobody watches is parsed, checked and forgotten.
    hint = run_pb2.Hint(text_delta=run_pb2.TextDelta(entity_type="interception", text="a"))
    request = pb.PublishHintsRequest(name=run, hints=[hint])
    taken = []
    for _ in range(COMMITS_PER_RUN):
        began = time.perf_counter()
        bench.stub.PublishHints(request, timeout=10)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def _bare(bench: Bench, sizes: Sequence[int]) -> list[float]:
    run = BareRun(bench.new_path())
    taken = []
    for size in sizes:
        metadata = b"x" * size
        began = time.perf_counter()
        run.commit(TEXT, metadata)
        taken.append((time.perf_counter() - began) * 1000)
    run.close()
    return taken


async def _rate_by_grpc(bench: Bench, width: int, runs: int) -> float:
    async with open_channel(bench.process.target) as channel:
        stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        created = [stub.CreateRun(create_request(), timeout=60) for _ in range(runs)]
        names = [answer.run.name for answer in await asyncio.gather(*created)]

        async def fill(run: str) -> None:
            for number in range(COMMITS_PER_RUN):
                await stub.RecordEntity(record_request(run, number, TEXT), timeout=60)

        seconds = await _shared_out(names, width, fill)
    return runs * COMMITS_PER_RUN / seconds


async def _shared_out(
    names: Sequence[str], width: int, work: Callable[[str], Awaitable[None]]
) -> float:
    waiting = iter(names)

    async def worker() -> None:
        for name in waiting:
            await work(name)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(width)))
    return time.perf_counter() - began


def _bare_rate(bench: Bench, threads: int, runs: int) -> float:
    opened = [BareRun(bench.new_path()) for _ in range(runs)]
    metadata = b"x" * 8192

    def fill(run: BareRun) -> None:
        for _ in itertools.repeat(None, COMMITS_PER_RUN):
            run.commit(TEXT, metadata)

    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(fill, opened))
        seconds = time.perf_counter() - began
    for run in opened:
        run.close()
    return runs * COMMITS_PER_RUN / seconds


def _percentiles(taken: Sequence[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(taken, n=100)
    return cuts[49], cuts[98]
