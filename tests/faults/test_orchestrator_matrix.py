"""Everything is killed, frozen and cut off at random while people start runs.

Whatever happens, every acknowledged run is there and ends as it must, each output is recorded once,
ComfyUI makes nothing again that it still has, and the record of every run could have happened
(tests/support/history.py). What happens follows a seed, which is printed. To play one again:

    ORCHESTRATOR_MATRIX=<seed> .venv/bin/pytest -s tests/faults/test_orchestrator_matrix.py -k few
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import pytest

from tests.faults.orchestrator_claims import check_world
from tests.faults.orchestrator_faults import faults, recovered, suffer
from tests.faults.orchestrator_load import Asked, all_ended, drawn, live
from tests.faults.orchestrator_world import COMFYS, Queue, World, orchestrator_world
from tests.support.network import INSTALL, has_networks

FEW, MANY = 12, 200
FEW_AT_ONCE, MANY_AT_ONCE = 4, 8
# Of the test that everybody runs; another one may be given.
SEED = 2807


async def play(
    world: World, seed: int, count: int, at_once: int, pause_seconds: tuple[float, float]
) -> tuple[list[Asked], list[str]]:
    """Start runs, so many at once, while faults happen; return the runs and what happened."""
    draw = random.Random(seed)
    runs = [drawn(draw) for _ in range(count)]
    cancels = [draw.uniform(0.0, 1.5) for _ in runs]
    places = asyncio.Semaphore(at_once)
    told: list[str] = []
    done = 0

    async def person(number: int) -> None:
        nonlocal done
        async with places:
            await live(world, runs[number], number, cancels[number])
            await all_ended(world, [runs[number]], 240)
        done += 1

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(person(number))
            schedule = faults(world, seed, pause_seconds)
            group.create_task(suffer(world, schedule, lambda: done == count, told))
        await recovered(world, 60)
        comfy_suffered = any(name in line for line in told for name in COMFYS)
        await check_world(world, runs, comfy_suffered=comfy_suffered)
    except BaseException:
        print(f"ORCHESTRATOR_MATRIX={seed}", *told, sep="\n  ")
        raise
    return runs, told


def seed_of(default: int) -> int:
    """What the environment says, or this."""
    return int(os.environ.get("ORCHESTRATOR_MATRIX") or default)


@pytest.mark.timeout(240)
async def test_a_few_runs_survive_what_happens_to_everybody(tmp_path: Path) -> None:
    if not has_networks():
        print(f"links are not cut: {INSTALL}")
    seed, began = seed_of(SEED), time.monotonic()
    slow = ("--step-seconds", "0.15")
    async with orchestrator_world(tmp_path, comfy_arguments=slow) as world:
        runs, told = await play(world, seed, FEW, FEW_AT_ONCE, (0.1, 0.6))
    # `play` has checked the records; without a fault they would prove nothing.
    assert (len(runs), bool(told)) == (FEW, True)
    taken = time.monotonic() - began
    print(f"ORCHESTRATOR_MATRIX={seed}: {FEW} runs, {taken:.0f} s", *told, sep="\n  ")


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("queue", ["embedded", "nats"])
async def test_two_hundred_runs_survive_what_happens_to_everybody(
    tmp_path: Path, queue: Queue
) -> None:
    if not has_networks():
        pytest.skip(INSTALL)
    seed, began = seed_of(random.randrange(1_000_000)), time.monotonic()
    slow = ("--step-seconds", "0.25")
    async with orchestrator_world(tmp_path, replicas=3, queue=queue, comfy_arguments=slow) as world:
        runs, told = await play(world, seed, MANY, MANY_AT_ONCE, (0.5, 3.0))
    assert (len(runs), bool(told)) == (MANY, True)
    taken = time.monotonic() - began
    print(f"ORCHESTRATOR_MATRIX={seed}: {MANY} runs, {len(told)} faults, {taken:.0f} s")
