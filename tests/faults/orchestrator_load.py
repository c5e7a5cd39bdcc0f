"""People who start runs, ask again when nobody answers, and know how each must end."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.orchestrator_world import World
from tests.support.eventually import eventually
from tests.support.history_record import FINAL

PICTURE = "sd35_large"
SMALL = {"width": 256, "height": 256, "steps": 4}
START_SECONDS = 120.0
# As often as they are drawn.
KINDS = ("text", "picture", "picture", "both", "both", "refused", "cancelled")


@dataclass
class Asked:
    """One run somebody asked for, and in which states it may end."""

    kind: str
    ends: frozenset[str]
    outputs: int
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    # Empty until its start was acknowledged.
    run_id: str = ""


def drawn(draw: random.Random) -> Asked:
    """A run of some kind."""
    return asked(draw.choice(KINDS))


def asked(kind: str) -> Asked:
    """A run of this kind: text, picture, both, refused, cancelled."""
    ends = {"refused": {"blocked"}, "cancelled": {"cancelled", "succeeded", "partial"}}
    outputs = 2 if kind in ("both", "cancelled") else 1
    return Asked(kind, frozenset(ends.get(kind, {"succeeded"})), outputs)


def _body(one: Asked, number: int) -> Mapping[str, Any]:
    outputs = {
        "text": ["builtin_text"],
        "refused": ["builtin_text"],
        "picture": [PICTURE],
    }.get(one.kind, ["builtin_text", PICTURE])
    body: dict[str, Any] = {
        "schema": "dada",
        "input_text": "Heil Hitler" if one.kind == "refused" else f"Blume Nummer {number}",
        "output_configs": outputs,
        "user_id": f"person-{number % 7}",
        "seed": number,
    }
    return body | ({"parameters": SMALL} if PICTURE in outputs else {})


async def start(world: World, one: Asked, number: int) -> None:
    """Start a run and go on asking until somebody answers that it is begun."""
    headers = {"Prefer": "respond-async", "Idempotency-Key": one.key}
    async with world.client() as http, asyncio.timeout(START_SECONDS):
        while True:
            answer = await _post(
                http, "/api/schema/pipeline/execute", json=_body(one, number), headers=headers
            )
            if answer is not None and answer.status_code in (200, 202):
                one.run_id = answer.json()["run_id"]
                return
            if answer is not None and answer.status_code not in (429, 500, 502, 503, 504):
                raise AssertionError(f"a start was refused: {answer.status_code} {answer.text}")
            await asyncio.sleep(0.2)


async def cancel(world: World, one: Asked) -> None:
    """Stop a run and go on asking until somebody says that it is."""
    async with world.client() as http, asyncio.timeout(START_SECONDS):
        while True:
            answer = await _post(http, f"/api/pipeline/{one.run_id}/cancel")
            if answer is not None and answer.status_code == 200:
                return
            await asyncio.sleep(0.2)


async def _post(http: httpx.AsyncClient, path: str, **named: Any) -> httpx.Response | None:
    try:
        return await http.post(path, **named)
    except httpx.HTTPError:
        return None  # nobody is there; whoever asks again loses nothing


async def live(world: World, one: Asked, number: int, cancel_after_seconds: float) -> None:
    """Start a run, and stop it if it is one of those."""
    await start(world, one, number)
    if one.kind == "cancelled":
        await asyncio.sleep(cancel_after_seconds)
        await cancel(world, one)


def status(world: World, run_id: str) -> str:
    """How a run stands; empty while there is none."""
    try:
        return str(world.record(run_id)["status"])
    except OSError:
        return ""


async def all_ended(world: World, runs: Sequence[Asked], seconds: float) -> None:
    """Wait until every run is final."""

    def are_final() -> bool:
        return all(status(world, one.run_id) in FINAL for one in runs)

    try:
        await eventually(are_final, seconds, "the end of every run")
    except AssertionError:
        left = {one.run_id: status(world, one.run_id) for one in runs}
        open_runs = {run_id: state for run_id, state in left.items() if state not in FINAL}
        raise AssertionError(f"still open after {seconds:g} s: {open_runs}") from None
