"""Small pictures: what we add to one, how many there are in a second, how soon an end is seen."""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

from benchmarks.media.direct import DirectClient
from benchmarks.media.scene import SMALL, Scene
from benchmarks.table import Figure
from services.media.comfy import ComfyBackend
from services.media.ports import RenderJob
from tests.fakes.comfyui.jobs import config, connected, ignore, make_job, read, workflow_of

_CONFIG = "sd35_large"
_PICTURE = "256 x 256"


async def overhead(scene: Scene, jobs: int) -> dict[str, Figure]:
    """One job after another, in turn: the direct client, our backend, the whole service."""
    direct: list[float] = []
    ours: list[float] = []
    durable: list[float] = []
    async with connected(scene.comfyui_url) as backend:
        with closing(await asyncio.to_thread(DirectClient, scene.comfyui_url)) as client:
            for number in range(jobs + 1):
                taken = (
                    await _timed(asyncio.to_thread(client.make, _graph())),
                    await _timed(_render(backend)),
                    await _timed(_recorded(scene, await scene.new_run())),
                )
                if number:  # the first ones warm up
                    for figures, one in zip((direct, ours, durable), taken, strict=True):
                        figures.append(one)
    base50, base99 = _percentiles(direct)
    ours50, ours99 = _percentiles(ours)
    durable50, durable99 = _percentiles(durable)
    bare = f"a picture of {_PICTURE} by a client that does nothing else"
    return {
        "direct_p50_ms": Figure(base50, "ms", bare),
        "direct_p99_ms": Figure(base99, "ms", bare),
        "overhead_p50_ms": Figure(
            ours50 - base50, "ms", f"our client of ComfyUI, nothing recorded: {ours50:.2f} ms"
        ),
        "overhead_p99_ms": Figure(ours99 - base99, "ms", f"the same, {ours99:.2f} ms"),
        "durable_overhead_p50_ms": Figure(
            durable50 - base50,
            "ms",
            f"through the media service to a durable entity: {durable50:.2f} ms",
        ),
        "durable_overhead_p99_ms": Figure(
            durable99 - base99, "ms", f"the same, {durable99:.2f} ms"
        ),
    }


async def rates(scene: Scene, jobs: int, rounds: int) -> dict[str, Figure]:
    """1, 8 and 32 askers at once, each with its next job as soon as its last one is done."""
    figures = {}
    for width in (1, 8, 32):
        direct, ours = [], []
        for _ in range(rounds):
            direct.append(await asyncio.to_thread(_direct_rate, scene.comfyui_url, width, jobs))
            async with connected(scene.comfyui_url) as backend:
                await _render(backend)
                ours.append(await _rate(partial(_render, backend), width, jobs))
        rate, limit = statistics.median(ours), statistics.median(direct)
        figures[f"jobs_per_second_{width}"] = Figure(
            rate, "1/s", f"{width} at once; direct clients: {limit:.0f}"
        )
        figures[f"jobs_per_second_{width}_ratio"] = Figure(rate / limit, "x", "direct clients")
    return figures


async def detection(scene: Scene, jobs: int) -> dict[str, Figure]:
    """From the end of an execution, as ComfyUI writes it down, to our knowing of the outputs."""
    seen: dict[str, float] = {}
    async with connected(scene.comfyui_url) as backend:
        for _ in range(jobs):
            product = await backend.render(_job(), ignore)
            seen[product.metadata["prompt_id"]] = time.time()
    ended = await asyncio.to_thread(_ends, scene)
    delays = [(at - ended[prompt_id]) * 1000 for prompt_id, at in seen.items()]
    p50, p99 = _percentiles(delays)
    what = "from the end of an execution to the list of its files"
    return {
        "detection_p50_ms": Figure(p50, "ms", what),
        "detection_p99_ms": Figure(p99, "ms", what),
    }


def _job() -> RenderJob:
    # A text of its own, or ComfyUI answers from its cache.
    return make_job(config(_CONFIG), prompt=f"Eine Blume {uuid.uuid4()}")


def _graph() -> Mapping[str, Any]:
    job = _job()
    prefix = f"artlab/{uuid.uuid4()}"
    return workflow_of(job).fill(prompt=job.prompt, seed=job.seed, values=job.values, prefix=prefix)


async def _render(backend: ComfyBackend) -> None:
    await read(await backend.render(_job(), ignore))


async def _recorded(scene: Scene, run: str) -> None:
    await scene.generate(f"{run}/uploads/output-1", _CONFIG, SMALL)


def _direct_rate(url: str, width: int, jobs: int) -> float:
    waiting = itertools.count()

    def work(client: DirectClient) -> None:
        while next(waiting) < jobs:
            client.make(_graph())

    clients = [DirectClient(url) for _ in range(width)]
    with ThreadPoolExecutor(width) as pool:
        began = time.perf_counter()
        list(pool.map(work, clients))
        seconds = time.perf_counter() - began
    for client in clients:
        client.close()
    return jobs / seconds


async def _rate(work: Callable[[], Awaitable[None]], width: int, jobs: int) -> float:
    waiting = iter(range(jobs))

    async def worker() -> None:
        for _ in waiting:
            await work()

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(width)))
    return jobs / (time.perf_counter() - began)


async def _timed(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) * 1000


def _ends(scene: Scene) -> dict[str, float]:
    lines = [json.loads(line) for line in scene.ledger.read_text().splitlines()]
    return {line["prompt_id"]: line["at"] for line in lines if line["event"] == "success"}


def _percentiles(taken: Sequence[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(taken, n=100)
    return cuts[49], cuts[98]
