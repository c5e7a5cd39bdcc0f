"""Two orchestrators share the work: one that is killed or frozen costs its runs a moment.

A killed replica's runs go on with the other one where they stood; a frozen one that wakes late
finds that it has nothing to say any more.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.fakes.comfyui.script import Script
from tests.fakes.comfyui.server import fake_comfyui
from tests.faults.claim_log import ClaimLog, watching
from tests.faults.orchestrator_claims import check_world
from tests.faults.orchestrator_load import Asked, all_ended, asked, start, status
from tests.faults.orchestrator_world import Queue, World, orchestrator_world
from tests.support.eventually import eventually
from tests.support.history import check_root
from tests.support.history_record import FINAL

FEW, MANY = 20, 200
SEATS = 4
KILL_EVERY_SECONDS = 5.0
# How long nobody goes on with a killed driver's runs: until its claims are over, and a moment.
MOMENT_SECONDS = 2.0
# Two cores do all of this at once, and a replica of these starts meanwhile.
PATIENCE_SECONDS = 8.0


@dataclass(frozen=True)
class Pause:
    """A run stood still because its driver was killed.

    `taken_seconds` until somebody else had it, who may have had no seat free before; `seconds`
    until the next fact about it, for which a picture may have had to be made.
    """

    run_id: str
    taken_seconds: float
    seconds: float


async def kill_in_turn(world: World, is_over: asyncio.Event) -> None:
    """Kill one replica after the other, each five seconds after the last, and start it again."""
    for name in itertools.cycle(world.replicas):
        try:
            async with asyncio.timeout(KILL_EVERY_SECONDS):
                await is_over.wait()
            return
        except TimeoutError:
            await world.kill(name)
            await world.start(name)


async def drive_under_kills(world: World, count: int) -> tuple[list[Asked], ClaimLog]:
    """Have so many runs started at once and driven while replicas are killed."""
    kinds = itertools.cycle(("text", "picture", "both"))
    runs = [asked(next(kinds)) for _ in range(count)]
    over = asyncio.Event()
    async with watching(world.root) as log, asyncio.TaskGroup() as group:
        group.create_task(kill_in_turn(world, over))
        # A few at a time, as browsers do; most of them wait for a driver then.
        places = asyncio.Semaphore(10)

        async def begin(number: int) -> None:
            async with places:
                await start(world, runs[number], number)

        await asyncio.gather(*(begin(number) for number in range(count)))
        try:
            await all_ended(world, runs, 60 + 3 * count)
        finally:
            over.set()
    for one in runs:
        creator = world.record(one.run_id).get("creator")
        if creator is not None:
            log.created(one.run_id, times(world, one.run_id)[0], creator["owner"])
    return runs, log


def times(world: World, run_id: str) -> list[float]:
    """When each event of a run was recorded."""
    events = world.record(run_id)["events"]
    return [datetime.fromisoformat(event["time"]).timestamp() for event in events]


def pauses(world: World, log: ClaimLog) -> list[list[Pause]]:
    """For each kill, how long the runs stood still whose driver it took away."""
    found = []
    moments = [at for _, at in world.kills]
    for number, at in enumerate(moments):
        # Who was killed claims nothing any more, and somebody else gets its runs; he is not
        # killed in between, but the other one may be.
        until = moments[number + 2] if number + 2 < len(moments) else float("inf")
        alive = {held.owner for seen in log.seen.values() for since, held in seen if since > at}
        before = {
            run_id: owner for run_id, owner in log.driven_at(at).items() if owner not in alive
        }
        taken = {
            run_id: since - at
            for run_id, owner in before.items()
            for since, held in reversed(log.seen[run_id])
            if at < since < until and held.owner not in ("", owner)
        }
        stood = []
        for run_id, seconds in taken.items():
            next_one = next((moment for moment in times(world, run_id) if moment > at), None)
            if next_one is not None:
                stood.append(Pause(run_id, seconds, next_one - at))
        found.append(stood)
    return found


def check_order(world: World, runs: Sequence[Asked]) -> None:
    """Of each person's runs none was passed by many younger ones, unless it waited for a dead one.

    What a killed driver had just been given is offered again when its claim is over.
    """
    by_person = defaultdict(list)
    for number, one in enumerate(runs):
        by_person[number % 7].append((times(world, one.run_id)[0], _begun(world, one.run_id)))
    for made in by_person.values():
        made.sort()
        for place, (created, begun) in enumerate(made):
            if any(created < at < begun for _, at in world.kills):
                continue
            passed = [begin for _, begin in made[place + 2 * SEATS + 1 :] if begin < begun]
            assert not passed, "who came much later was served first"


def _begun(world: World, run_id: str) -> float:
    kinds = [event["payload"].get("state") for event in world.record(run_id)["events"]]
    return times(world, run_id)[kinds.index("running")]


def report(world: World, log: ClaimLog) -> list[float]:
    """Print what each kill cost; return how long it took until somebody went on, of each."""
    lost = []
    for (name, _), stood in zip(world.kills, pauses(world, log), strict=True):
        if not stood:
            print(f"{name} killed: no run was taken over before the next kill")
            continue
        lost.append(min(one.taken_seconds for one in stood))
        last = max(one.taken_seconds for one in stood)
        longest = max(one.seconds for one in stood)
        print(
            f"{name} killed: {len(stood)} runs taken over, the first after {lost[-1]:.2f} s, the "
            f"last after {last:.2f} s; {longest:.2f} s at most until the next fact"
        )
    return lost


@pytest.mark.timeout(240)
async def test_two_replicas_lose_nothing_when_one_is_killed_every_five_seconds(
    tmp_path: Path,
) -> None:
    settings = {
        "ARTLAB_ORCHESTRATOR_MAX_RUNS": str(SEATS),
        "ARTLAB_ORCHESTRATOR_CLAIM_TTL_SECONDS": "2",
    }
    async with orchestrator_world(
        tmp_path, settings=settings, comfy_arguments=("--step-seconds", "0.2"), cut=False
    ) as world:
        runs, log = await drive_under_kills(world, FEW)
        await check_world(world, runs, comfy_suffered=False)
        log.check()
        check_order(world, runs)
        report(world, log)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("queue", ["embedded", "nats"])
async def test_two_replicas_drive_two_hundred_runs_under_kills(
    tmp_path: Path, queue: Queue
) -> None:
    settings = {"ARTLAB_ORCHESTRATOR_MAX_RUNS": str(SEATS)}
    async with orchestrator_world(
        tmp_path,
        queue=queue,
        settings=settings,
        comfy_arguments=("--step-seconds", "0.15"),
        cut=False,
    ) as world:
        runs, log = await drive_under_kills(world, MANY)
        await check_world(world, runs, comfy_suffered=False)
        log.check()
        check_order(world, runs)
        lost = report(world, log)
        assert lost, "somebody was killed"
        ttl_seconds = 5.0
        assert max(lost) < ttl_seconds + MOMENT_SECONDS + PATIENCE_SECONDS


@pytest.mark.timeout(120)
async def test_a_frozen_replica_that_wakes_late_writes_nothing(tmp_path: Path) -> None:
    async with fake_comfyui(script=Script(hang_at="KSampler")) as comfy:
        settings = {
            "ARTLAB_MEDIA_COMFYUI_URLS": comfy.url,
            "ARTLAB_ORCHESTRATOR_CLAIM_TTL_SECONDS": "1",
        }
        async with (
            orchestrator_world(tmp_path, settings=settings, cut=False) as world,
            watching(world.root) as log,
        ):
            first, second = world.replicas
            await world.kill(second)
            run = asked("picture")
            await start(world, run, 1)
            await eventually(lambda: bool(comfy.executions), 20, "the job at the backend")
            await world.freeze(first)
            await world.start(second, wait=True)
            await eventually(lambda: log.epoch(run.run_id) > 1, 20, "a new driver")
            owner = log.seen[run.run_id][-1][1].owner
            await eventually(lambda: _has_settled(world, run), 20, "the new driver at the job")
            before = world.record(run.run_id)
            await world.thaw(first)
            await eventually(lambda: _knows_it_lost(world, first), 20, "its noticing")
            assert world.record(run.run_id) == before
            comfy.script.hang_at = None
            await all_ended(world, [run], 30)
            assert status(world, run.run_id) == "succeeded"
            assert list(comfy.executions.values()) == [1]
            assert log.seen[run.run_id][-1][1].owner in ("", owner)
            log.check()
            assert check_root(world.root, [run.run_id], must_be_final=True) == []


def _has_settled(world: World, run: Asked) -> bool:
    position = world.record(run.run_id)["current_state"]
    return position["stage"] == 4 and status(world, run.run_id) not in FINAL


def _knows_it_lost(world: World, name: str) -> bool:
    return "claim lost" in world.log(name) or "FENCED" in world.log(name)
