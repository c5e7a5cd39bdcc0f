"""Whole runs, from the request to the final state: one after another, and many at once."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.main_job import bare_commit
from benchmarks.orchestrator.scene import ENTITIES, Scene
from benchmarks.table import Figure

WIDTHS = (1, 16, 64)


async def overhead(scene: Scene, runs: int) -> dict[str, Figure]:
    """One run after another, and in turn with each the bare commits it cannot do without."""
    ours: list[float] = []
    bare: list[float] = []
    folder = scene.folder / "bare"
    folder.mkdir()
    for _ in range(runs):
        ours.append(await scene.run())
        bare.append(_commits_ms(folder))
    p50, p99 = percentiles(ours)
    bare50, _ = percentiles(bare)
    what = f"HTTP in to final state, {ENTITIES} entities and metadata.json"
    return {
        "run_overhead_p50_ms": Figure(p50, "ms", what),
        "run_overhead_p99_ms": Figure(p99, "ms", what),
        "run_overhead_ratio": Figure(
            p50 / bare50, "x", f"{ENTITIES} bare commits (2 files, 4 fsyncs each), {bare50:.2f} ms"
        ),
    }


async def rates(scene: Scene, seconds: float) -> dict[str, Figure]:
    """So many people, each with the next run as soon as the last one is done."""
    figures = {}
    best = 0.0
    for width in WIDTHS:
        rate, taken = await _rate(scene, width, seconds)
        p50, p99 = percentiles(taken)
        best = max(best, rate)
        figures[f"runs_per_second_{width}"] = Figure(
            rate, "1/s", f"{width} at once; p50 {p50:.0f} ms, p99 {p99:.0f} ms"
        )
    return {"runs_per_second": Figure(best, "1/s", "the best of the following")} | figures


async def processor(scene: Scene, runs: int) -> dict[str, Figure]:
    """Processor time per run, by service, with 16 at once."""
    before = scene.cpu_seconds()
    waiting = iter(range(runs))

    async def person() -> None:
        for _ in waiting:
            await scene.run()

    await asyncio.gather(*(person() for _ in range(16)))
    after = scene.cpu_seconds()
    spent = {name: (after[name] - before[name]) * 1000 / runs for name in after}
    figures = {
        f"cpu_{name}_ms": Figure(taken, "ms", "processor time of one run, 16 at once")
        for name, taken in sorted(spent.items(), key=lambda one: -one[1])
    }
    return {"cpu_ms": Figure(sum(spent.values()), "ms", "the same of all services")} | figures


async def _rate(scene: Scene, width: int, seconds: float) -> tuple[float, list[float]]:
    taken: list[float] = []
    began = time.perf_counter()

    async def person() -> None:
        while time.perf_counter() - began < seconds:
            taken.append(await scene.run())

    await asyncio.gather(*(person() for _ in range(width)))
    return len(taken) / (time.perf_counter() - began), taken


def percentiles(taken: Sequence[float]) -> tuple[float, float]:
    """The 50th and the 99th."""
    cuts = statistics.quantiles(taken, n=100)
    return cuts[49], cuts[98]


def _commits_ms(folder: Path) -> float:
    began = time.perf_counter()
    for _ in range(ENTITIES):
        bare_commit(folder)
    return (time.perf_counter() - began) * 1000
