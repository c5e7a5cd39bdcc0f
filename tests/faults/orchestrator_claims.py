"""What must be true of a world after everything that happened to it."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime

from services.recorder.verify import verify_run
from tests.faults.comfyui_process import ComfyProcess, Execution
from tests.faults.orchestrator_load import Asked
from tests.faults.orchestrator_world import World
from tests.support.history import check_root

# An end that says so is a true one where ComfyUI itself was taken away.
COMFY_REASONS = ("COMFY_", "MEDIA_")


async def check_world(world: World, runs: Sequence[Asked], *, comfy_suffered: bool) -> None:
    """Every claim about all runs: they are there, whole, possible, right, and made once."""
    await asyncio.to_thread(_check, world, runs, comfy_suffered)


def _check(world: World, runs: Sequence[Asked], comfy_suffered: bool) -> None:
    found = check_root(world.root, [one.run_id for one in runs], must_be_final=True)
    assert not found, "\n".join(str(one) for one in found)
    ids = Counter(one.run_id for one in runs)
    assert max(ids.values()) == 1, f"two people got the same run: {ids.most_common(1)}"
    folders = [one for one in world.root.iterdir() if not one.name.startswith(".")]
    assert {one.name for one in folders} == set(ids), "nobody else's run is there"
    for folder in folders:
        assert verify_run(folder) == []
    wrong = [problem for one in runs for problem in _ended_wrongly(world, one, comfy_suffered)]
    assert not wrong, "\n".join(wrong)
    _check_executions(world, runs)


def _ended_wrongly(world: World, one: Asked, comfy_suffered: bool) -> list[str]:
    record = world.record(one.run_id)
    assert len(record["outputs"]) == one.outputs
    if record["status"] in one.ends:
        return []
    reasons = {output["reason"] for output in record["outputs"]} - {None}
    by_comfy = all(str(reason).startswith(COMFY_REASONS) for reason in reasons)
    if comfy_suffered and reasons and by_comfy and record["status"] in ("failed", "partial"):
        return []
    return [f"{one.kind} run {one.run_id} is {record['status']}: {record['error']}, {reasons}"]


def _check_executions(world: World, runs: Sequence[Asked]) -> None:
    """ComfyUI ran each recorded prompt, again only when it had lost it, and no other to its end."""
    recorded: set[str] = set()
    excused: set[str] = set()
    for one in runs:
        record = world.record(one.run_id)
        prompts = {
            entity["metadata"]["prompt_id"]
            for entity in record["entities"]
            if "prompt_id" in entity["metadata"]
        }
        recorded |= prompts
        if record["status"] not in ("succeeded", "blocked"):
            excused.add(one.run_id)
    found: dict[str, list[tuple[Execution, ComfyProcess]]] = defaultdict(list)
    for comfy in world.comfys.values():
        for run in comfy.executions():
            found[run.prompt_id].append((run, comfy))
    assert recorded <= found.keys(), "what was recorded was made"
    for prompt_id, executions in found.items():
        executions.sort(key=lambda pair: pair[0].at)
        for (before, comfy), (after, _) in itertools.pairwise(executions):
            assert comfy.deaths.get(before.life, float("inf")) < after.at, (
                f"{prompt_id} was made a second time while ComfyUI had it: {executions}"
            )
    finished = {
        prompt_id
        for prompt_id, executions in found.items()
        if any(run.ending == "success" for run, _ in executions)
    }
    wasted = finished - recorded
    assert len(wasted) <= len(excused), f"made for nobody: {wasted}; excused {excused}"


def longest_pauses(world: World, runs: Sequence[Asked]) -> list[tuple[str, float]]:
    """For each kill of an orchestrator: the longest time a run that was in work stood still."""
    moments = {
        one.run_id: [
            datetime.fromisoformat(event["time"]).timestamp()
            for event in world.record(one.run_id)["events"]
        ]
        for one in runs
    }
    found = []
    for name, at in world.kills:
        pauses = [0.0]
        for times in moments.values():
            after = next((moment for moment in times[1:] if moment > at), None)
            # One that had not begun had nothing to lose.
            if after is not None and len(times) > 2 and times[2] < at:
                pauses.append(after - at)
        found.append((name, max(pauses)))
    return found
