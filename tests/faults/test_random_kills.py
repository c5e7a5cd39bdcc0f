"""Services killed at random while runs go on: every run ends, and every folder tells the truth."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest

from services.recorder.verify import verify_run
from tests.support.client import client_of, start_run
from tests.support.eventually import eventually
from tests.support.processes import Running, six_services

FEW, MANY = 3, 100
FINAL = {"succeeded", "partial", "failed"}
VICTIMS = ["recorder", "safety", "interception", "media", "orchestrator"]
RECIPES = ["dada", "bauhaus", "stillepost", "piglatin"]


def _status(running: Running, run_id: str) -> str:
    path = running.run_folder(run_id) / "metadata.json"
    status: str = json.loads(path.read_bytes())["status"]
    return status


async def _ended(running: Running, run_id: str) -> str:
    await eventually(lambda: _status(running, run_id) in FINAL, 90, f"the end of {run_id}")
    assert verify_run(running.run_folder(run_id)) == []
    return _status(running, run_id)


async def _rounds(tmp_path: Path, rounds: int, seed: int) -> list[str]:
    print(f"seed {seed}")
    chance = random.Random(seed)
    states = []
    async with six_services(tmp_path) as running, client_of(running) as http:
        for number in range(rounds):
            run_id = await start_run(
                http,
                schema=chance.choice(RECIPES),
                input_text=f"Blume {number}",
                output_configs=["builtin_image"] * chance.randint(1, 3),
            )
            # Where in the run the kill falls is the point of it, so here time itself is the input.
            await asyncio.sleep(chance.uniform(0.0, 1.0))
            await running.restart(chance.choice(VICTIMS))
            states.append(await _ended(running, run_id))
    return states


async def test_a_few_random_kills(tmp_path: Path) -> None:
    states = await _rounds(tmp_path, rounds=FEW, seed=random.randrange(1_000_000))
    assert len(states) == FEW


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_a_hundred_random_kills(tmp_path: Path) -> None:
    states = await _rounds(tmp_path, rounds=MANY, seed=random.randrange(1_000_000))
    assert len(states) == MANY
    # Only the death of the orchestrator ends a run; everybody else is waited for.
    assert states.count("succeeded") > 50
