"""A pipeline in words, and what came of trying it out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

from services.orchestrator.engine.definition import Definition
from services.orchestrator.engine.executor import Executor
from services.orchestrator.engine.graph import Flow
from services.orchestrator.engine.mermaid import path_label
from services.orchestrator.engine.observer import Unobserved
from services.orchestrator.engine.registry import Registry
from services.orchestrator.engine.step import JsonObject, PipelineResult, StepResult
from services.orchestrator.steps.table import FACTORIES

_LANGUAGE = "en"


class Printed(Unobserved):
    """Says how each step ended, as it ends."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    async def step_ended(self, result: StepResult) -> None:
        """Say it."""
        self._say(step_line(result))
        if result.result:
            self._say(f"  {json.dumps(result.result, ensure_ascii=False)}")


async def try_out(
    definition: Definition, given: JsonObject, plan: JsonObject, printed: Printed
) -> PipelineResult:
    """Carry out a pipeline with no service at all. Raises StepWaits."""
    executor = Executor(definition, FACTORIES, Registry(), observer=printed)
    return await executor.run(given, plan)


def step_line(result: StepResult) -> str:
    """Return how a step ended, in one line."""
    about = f" of output {result.output_index}" if result.output_index else ""
    turn = f" (turn {result.iteration})" if result.iteration > 1 else ""
    line = f"{result.step_name}{about}{turn}: {result.status}"
    if result.attempts:
        count = len(result.attempts)
        line += f", {count} attempt{'s' if count > 1 else ''}, {_seconds(result):.3f} s"
    if result.fell_back:
        line += f", fallback after {result.attempts[-1].error}"
    if result.error:
        line += f", {result.error}: {result.message}"
    return line


def document_of(result: PipelineResult) -> JsonObject:
    """Return a result as JSON."""
    return {
        "state": result.state,
        "input": result.input,
        "output": result.output,
        "steps": [_step(step) for step in result.steps],
    }


def _step(result: StepResult) -> JsonObject:
    return {
        "step": result.step_name,
        "status": result.status,
        "iteration": result.iteration,
        "output_index": result.output_index,
        "attempts": [
            {"number": one.number, "seconds": _told(one.duration), "error": one.error}
            for one in result.attempts
        ],
        "seconds": round(_seconds(result), 6),
        "result": result.result,
        "error": result.error,
        "message": result.message,
        "stage": result.stage,
        "fell_back": result.fell_back,
    }


def _seconds(result: StepResult) -> float:
    return sum(_told(one.duration) for one in result.attempts)


def _told(duration: timedelta) -> float:
    return round(duration.total_seconds(), 6)


def lines_of(definition: Definition) -> Iterator[str]:
    """Yield a pipeline line by line."""
    title = definition.title.get(_LANGUAGE) or next(iter(definition.title.values()), "")
    yield f"{definition.name}{': ' + title if title else ''}"
    yield from _flow_lines(definition.flow, "  ")


def _flow_lines(flow: Flow, indent: str) -> Iterator[str]:
    for step in flow.steps:
        kind = "" if step.kind == step.id else f"  {step.kind}"
        start = "  starts" if step.id in flow.start_at else ""
        yield f"{indent}{step.id}{kind}{start}"
        for path in (path for path in flow.paths if path.from_step == step.id):
            arrow = "↺" if path.is_loop else "→"
            label = path_label(path)
            yield f"{indent}  {arrow} {path.to_step}{'  if ' + label if label else ''}"
        if step.body is not None:
            yield from _flow_lines(step.body, indent + "    ")
