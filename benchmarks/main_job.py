"""What one run costs over what it must cost: `python -m benchmarks.main_job [--json]`.

Six real processes on loopback with the built-in backends, measured against the same work done by
one process in the same minute: a commit against its four fsyncs, a run with a picture against
drawing that picture. Nothing is asserted.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.table import Figure, show
from services.media.backends.builtin.render import render_png
from tests.support.processes import Running, six_services

RUNS = 30
PROMPT = "Eine Blume auf der Wiese"
SIDE_PIXELS = 1024


def _median_ms(act: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def bare_commit(folder: Path) -> None:
    """An entity and its metadata.json as any durable store must write them.

    Two files, two renames, four fsyncs.
    """
    for name in ("entity", "metadata.json"):
        descriptor = os.open(folder / "new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(descriptor, b"x" * 4096)
        os.fsync(descriptor)
        os.close(descriptor)
        os.rename(folder / "new", folder / name)
        directory = os.open(folder, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)


async def _run(http: httpx.AsyncClient, seed: int, **fields: object) -> tuple[float, int]:
    began = time.perf_counter()
    answer = await http.post(
        "/api/schema/pipeline/execute",
        json={"schema": "dada", "input_text": PROMPT, "seed": seed, **fields},
    )
    milliseconds = (time.perf_counter() - began) * 1000
    body = answer.json()
    if body.get("status") != "success":
        raise SystemExit(f"the run did not succeed: {json.dumps(body)[:300]}")
    return milliseconds, len(body["expected_outputs"])


async def _measure(running: Running, folder: Path) -> dict[str, Figure]:
    async with httpx.AsyncClient(base_url=running.url, timeout=60, trust_env=False) as http:
        await _run(http, 0)
        text = [await _run(http, seed, output_configs=["builtin_text"]) for seed in range(RUNS)]
        image = [await _run(http, seed) for seed in range(RUNS)]
        began = time.perf_counter()
        many = [_run(http, 1000 + n, output_configs=["builtin_text"]) for n in range(RUNS)]
        await asyncio.gather(*many)
        together = time.perf_counter() - began
    text_ms = statistics.median(taken for taken, _ in text)
    image_ms = statistics.median(taken for taken, _ in image)
    entities = text[0][1]
    commit_ms = _median_ms(lambda: bare_commit(folder), 200)
    draw_ms = _median_ms(lambda: render_png(PROMPT, "dada", 1, SIDE_PIXELS, SIDE_PIXELS), 5)
    return {
        "text_run_p50_ms": Figure(text_ms, "ms", f"HTTP in to final state, {entities} entities"),
        "text_run_ratio": Figure(
            text_ms / (entities * commit_ms), "x", f"{entities} bare commits of {commit_ms:.2f} ms"
        ),
        "image_run_p50_ms": Figure(image_ms, "ms", "the same with a picture of 1024 x 1024"),
        "image_run_ratio": Figure(
            image_ms / draw_ms, "x", f"drawing it in one process, {draw_ms:.0f} ms"
        ),
        "text_runs_per_second": Figure(RUNS / together, "1/s", f"{RUNS} at once"),
    }


async def _main() -> None:
    with tempfile.TemporaryDirectory(prefix="artlab-bench-") as place:
        folder = Path(place)
        async with six_services(folder, ARTLAB_GATEWAY_RUN_STARTS_PER_MINUTE="10000") as running:
            figures = await _measure(running, folder)
    show(figures)


if __name__ == "__main__":
    asyncio.run(_main())
