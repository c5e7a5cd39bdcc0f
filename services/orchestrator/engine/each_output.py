"""`for_each_output`: its body for each planned output, so many at once. Pure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from services.kit.errors import FailedPrecondition
from services.orchestrator.engine.graph import Flow, StepDefinition
from services.orchestrator.engine.observer import OutputEnd, OutputState
from services.orchestrator.engine.step import Json, JsonObject, StepResult, StepWaits
from services.orchestrator.engine.work import Work, end_tasks

if TYPE_CHECKING:
    from services.orchestrator.engine.flow_run import FlowEnd

# Errors of a step that say that an output cannot be made here.
NOT_AVAILABLE = frozenset(("OUTPUT_NOT_AVAILABLE", "OUTPUT_REMOTE"))

Body = Callable[[Flow, JsonObject, int], Awaitable["FlowEnd"]]


@dataclass(frozen=True, slots=True)
class OutputEnds:
    """How it ended for all of them, and every step of the bodies.

    The result has a `cause` only when it failed itself, not when its outputs did.
    """

    result: StepResult
    steps: tuple[StepResult, ...] = ()


async def each_output(
    work: Work, step: StepDefinition, known: Mapping[str, Json], body: Body
) -> OutputEnds:
    """Do the body for each of `plan.outputs` that has not ended; one going badly leaves the others.

    Raises StepWaits when a person is asked about one and the others are done; else as the body.
    """
    assert step.body is not None
    plain = StepResult(step.id, step.index, "succeeded", {})
    rows = _rows(work.plan)
    if rows is None:
        problem = FailedPrecondition("PLAN_INVALID", "the plan has no outputs, each with an index")
        return OutputEnds(
            replace(
                plain,
                status="failed",
                error=problem.reason,
                message=problem.message,
                cause=problem,
            )
        )
    at_once = step.config.get("at_once")
    seats = asyncio.Semaphore(at_once if isinstance(at_once, int) else work.outputs_at_once)
    all_of_them = _Outputs(work, step.body, body, seats)
    await all_of_them.make(rows)
    return OutputEnds(_result(plain, all_of_them.ends), tuple(all_of_them.steps))


class _Outputs:
    def __init__(self, work: Work, flow: Flow, body: Body, seats: asyncio.Semaphore) -> None:
        self._work = work
        self._flow = flow
        self._body = body
        self._seats = seats
        self._waits: list[StepWaits] = []
        self.ends: dict[int, tuple[JsonObject, OutputEnd]] = {}
        self.steps: list[StepResult] = []

    async def make(self, rows: Mapping[int, JsonObject]) -> None:
        tasks = {
            asyncio.create_task(self._one(index, row), name=f"output {index}")
            for index, row in sorted(rows.items())
        }
        try:
            if tasks:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
        finally:
            await end_tasks(tasks)
        if self._waits:
            raise min(self._waits, key=lambda waits: waits.seconds)

    async def _one(self, index: int, row: JsonObject) -> None:
        async with self._seats:
            before = await self._work.observer.output_state(index)
            if before is not None:
                self.ends[index] = row, OutputEnd(index, before, {}, found=True)
                return
            async with self._work.output_slots or nullcontext():
                try:
                    end = await self._body(self._flow, row, index)
                except StepWaits as waits:
                    self._waits.append(waits)
                    return
            failed = end.failed_step
            state: OutputState = end.state
            if failed is not None and failed.error in NOT_AVAILABLE:
                state = "not_available"
            self.steps += end.steps
            told = OutputEnd(index, state, end.output, failed)
            await self._work.observer.output_ended(told)
            self.ends[index] = row, told


def _rows(plan: JsonObject) -> Mapping[int, JsonObject] | None:
    rows = plan.get("outputs")
    if not isinstance(rows, list | tuple):
        return None
    found: dict[int, JsonObject] = {}
    for row in rows:
        index = row.get("index") if isinstance(row, Mapping) else None
        if not isinstance(row, Mapping) or not isinstance(index, int) or index < 1:
            return None
        found[index] = row
    return found if len(found) == len(rows) else None


def _result(plain: StepResult, ends: Mapping[int, tuple[JsonObject, OutputEnd]]) -> StepResult:
    states = [end.state for _, end in ends.values()]
    output: JsonObject = {
        "outputs": [_told(*ends[index]) for index in sorted(ends)],
        **{
            state: states.count(state)
            for state in ("succeeded", "blocked", "failed", "not_available")
        },
    }
    if not states or "succeeded" in states:
        return replace(plain, result=output)
    # As for a run: blocked when all were, and else failed, because one may work another time.
    is_blocked = all(state == "blocked" for state in states)
    status: Literal["blocked", "failed"] = "blocked" if is_blocked else "failed"
    told = [ends[index][1] for index in sorted(ends)]
    first = next(
        (one.failed_step for one in told if one.failed_step and one.failed_step.status == status),
        None,
    )
    return replace(
        plain,
        status=status,
        result=output,
        error=first.error if first else "NO_OUTPUT_SUCCEEDED",
        message=first.message if first else "no output was made",
        stage=first.stage if first else 0,
    )


def _told(row: JsonObject, end: OutputEnd) -> JsonObject:
    return {
        "index": end.index,
        "config": row.get("config"),
        "kind": row.get("kind"),
        "state": end.state,
        "error": end.failed_step.error if end.failed_step else "",
        "output": end.output,
    }
