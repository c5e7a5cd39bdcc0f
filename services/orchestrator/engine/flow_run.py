"""Goes through a flow: what is ready runs, what cannot come to be is skipped. Pure.

A step waits until each path that leads to it is decided, taken or not. One taken is enough to do
it; none taken, and it is skipped with what hangs on it alone (dead-path elimination). So no step is
done twice, none waits for ever, and what happens does not depend on which branch is faster.

What nothing takes care of, a block or a fault, cuts off all that comes after it; branches that do
not hang on it are kept whole, and then the flow ends in that state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from services.kit.errors import ArtlabError, Internal
from services.orchestrator.engine.condition import Ended, holds
from services.orchestrator.engine.doing import Done, do_step, to_keep
from services.orchestrator.engine.each_output import each_output
from services.orchestrator.engine.graph import EACH_OUTPUT, Flow, Path, StepDefinition
from services.orchestrator.engine.step import Json, JsonObject, StepResult, StepWaits
from services.orchestrator.engine.work import Work, end_tasks


@dataclass(frozen=True, slots=True)
class FlowEnd:
    """How a flow ended: every step in the order they ended, and the first one that went badly."""

    output: JsonObject
    steps: tuple[StepResult, ...]
    state: Literal["succeeded", "blocked", "failed"] = "succeeded"
    failed_step: StepResult | None = None


@dataclass(frozen=True, slots=True)
class _Ways:
    """Where it goes on from a step: back, or on by these of its paths."""

    result: StepResult
    back: Path | None = None
    taken: tuple[Path, ...] = ()

    @property
    def went_badly(self) -> bool:
        handled = self.back is not None or bool(self.taken)
        return self.result.status in ("blocked", "failed") and not handled


class FlowRun:
    """One flow, gone through once.

    Args:
        known: what templates see, by root; `steps` as far as they came before this flow.
        output_index: of the output it is about; 0 for the flow of the pipeline itself.
    """

    def __init__(
        self, work: Work, flow: Flow, known: Mapping[str, Json], output_index: int = 0
    ) -> None:
        self._work = work
        self._flow = flow
        self._output_index = output_index
        steps = known.get("steps")
        self._steps: dict[str, Json] = dict(steps) if isinstance(steps, Mapping) else {}
        self._known: dict[str, Json] = {**known, "steps": self._steps}
        self._iteration = {step.id: 1 for step in flow.steps}
        self._decided: dict[Path, bool] = {}
        self._turns: dict[Path, int] = {}
        self._cut: set[str] = set()
        self._latest: dict[str, StepResult] = {}
        self._ended: list[StepResult] = []
        self._bad: list[StepResult] = []
        self._waits: list[StepWaits] = []
        self._tasks: dict[asyncio.Task[None], StepDefinition] = {}
        self._ways: dict[str, _Ways] = {}

    async def run(self) -> FlowEnd:
        """Go through it; return how it ended. Raises as `Executor.run`; then no task is left."""
        try:
            for step in self._flow.start_at:
                self._start(step)
            while self._tasks:
                done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=lambda one: self._tasks[one].index):
                    await self._go_on(self._tasks[task], task)
        finally:
            await end_tasks(set(self._tasks))
        if self._waits:
            raise min(self._waits, key=lambda waits: waits.seconds)
        return self._end()

    def _end(self) -> FlowEnd:
        output = {
            step.id: self._latest[step.id].result
            for step in self._flow.steps
            if not self._flow.out_of(step.id)
            and step.id in self._latest
            and self._latest[step.id].status == "succeeded"
        }
        # By their place in the file: which of them was faster says nothing.
        first = min(self._bad, key=lambda one: (one.step_index, one.iteration), default=None)
        if first is None:
            return FlowEnd(output, tuple(self._ended))
        state: Literal["blocked", "failed"] = "blocked" if first.status == "blocked" else "failed"
        return FlowEnd(output, tuple(self._ended), state, first)

    def _start(self, step_id: str) -> None:
        step = self._flow.by_id[step_id]
        self._tasks[asyncio.create_task(self._do(step), name=f"step {step_id}")] = step

    # In a task of its own

    async def _do(self, step: StepDefinition) -> None:
        inside: tuple[StepResult, ...] = ()
        if step.kind == EACH_OUTPUT:
            ends = await each_output(self._work, step, self._known, self._body)
            done, inside = Done(ends.result, remembers=True), ends.steps
        else:
            iteration = self._iteration[step.id]
            done = await do_step(self._work, step, iteration, self._output_index, self._known)
        ways = self._decide(step, done.result)
        result = ways.result
        if self._is_to_keep(step, done, ways):
            await self._work.memory.remember(
                step.id, result.iteration, self._output_index, to_keep(result), result.attempts
            )
        await self._work.observer.step_ended(result)
        self._ended += [*inside, result]
        self._ways[step.id] = ways

    async def _body(self, body: Flow, row: JsonObject, index: int) -> FlowEnd:
        return await FlowRun(self._work, body, {**self._known, "output": row}, index).run()

    @staticmethod
    def _is_to_keep(step: StepDefinition, done: Done, ways: _Ways) -> bool:
        result = done.result
        if result.restored or step.kind == EACH_OUTPUT or ways.went_badly:
            return False
        # One that remembers finds what it did, but not that it did not and what was taken instead.
        return not done.remembers or result.fell_back or result.status == "failed"

    def _decide(self, step: StepDefinition, result: StepResult) -> _Ways:
        steps = {**self._steps, step.id: _seen(result)}
        known = {**self._known, "steps": steps}
        state: Ended = "succeeded"
        if result.status == "blocked" or result.status == "failed":
            state = result.status
        try:
            for loop in self._flow.back_from(step.id):
                within = self._turns.get(loop, 0) < (loop.limit or 0)
                if within and holds(loop.condition, state, known):
                    return _Ways(result, back=loop)
            taken = tuple(
                path for path in self._flow.out_of(step.id) if holds(path.condition, state, known)
            )
        except ArtlabError as error:
            message = f"a condition after {step.id} cannot be told: {error.message}"
            failed = replace(
                result, status="failed", error=error.reason, message=message, cause=error
            )
            return _Ways(failed)
        return _Ways(result, taken=taken)

    # By the one that goes through the flow

    async def _go_on(self, step: StepDefinition, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        try:
            task.result()
        except StepWaits as waits:
            self._waits.append(waits)
            return
        except asyncio.CancelledError as error:
            # Not by us: then this is not where it is waited for.
            raise Internal("STEP_CRASHED", f"{step.id} cancelled its own task") from error
        ways = self._ways.pop(step.id)
        self._note(ways.result)
        if ways.back is not None:
            self._go_back(ways.back)
            return
        if ways.went_badly:
            self._bad.append(ways.result)
            self._cut |= self._flow.after.get(step.id, frozenset())
        for path in self._flow.out_of(step.id):
            self._decided[path] = path in ways.taken
        for path in self._flow.out_of(step.id):
            await self._look_at(path.to_step)

    def _note(self, result: StepResult) -> None:
        self._latest[result.step_name] = result
        self._steps[result.step_name] = _seen(result)

    def _go_back(self, loop: Path) -> None:
        self._turns[loop] = self._turns.get(loop, 0) + 1
        body = self._flow.body_of(loop)
        for path in self._flow.paths:
            if path.is_loop:
                if self._flow.body_of(path) < body:
                    # A loop within this one has its turns again.
                    self._turns.pop(path, None)
            elif path.from_step in body:
                self._decided.pop(path, None)
        for step in body:
            self._iteration[step] += 1
        self._start(loop.to_step)

    async def _look_at(self, step_id: str) -> None:
        waiting = [step_id]
        while waiting:
            step = waiting.pop()
            into = self._flow.into(step)
            if any(path not in self._decided for path in into) or self._is_done(step):
                continue
            if step not in self._cut and any(self._decided[path] for path in into):
                self._start(step)
                continue
            definition = self._flow.by_id[step]
            skipped = StepResult(
                step,
                definition.index,
                "skipped",
                {},
                self._iteration[step],
                output_index=self._output_index,
            )
            self._note(skipped)
            self._ended.append(skipped)
            await self._work.observer.step_ended(skipped)
            for path in self._flow.out_of(step):
                self._decided[path] = False
                waiting.append(path.to_step)

    def _is_done(self, step: str) -> bool:
        # Looked at once for each path that leads to it; it begins once in each turn.
        latest = self._latest.get(step)
        running = any(one.id == step for one in self._tasks.values())
        waiting = latest is not None and latest.iteration == self._iteration[step]
        return running or waiting


def _seen(result: StepResult) -> JsonObject:
    seen: dict[str, Json] = {"status": result.status, "iteration": result.iteration}
    if result.status != "skipped":
        seen |= {"output": result.result, "error": result.error}
    return seen
