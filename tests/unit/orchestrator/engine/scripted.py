"""Steps that do as they are told, and what they were seen to do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.kit.errors import Unavailable
from services.orchestrator.engine.definition import Definition, parse_definition
from services.orchestrator.engine.executor import Executor
from services.orchestrator.engine.memory import InMemory, Memory
from services.orchestrator.engine.observer import Observer
from services.orchestrator.engine.registry import Registry
from services.orchestrator.engine.step import JsonObject, PipelineResult, StepBlocked, StepScope
from tests.support.virtual_time import LoopClock

Script = Callable[[JsonObject, StepScope], Awaitable[JsonObject]]
Place = tuple[str, int, int]


@dataclass
class Stage:
    """Runs every step of type `act`, by its script or as a step that gives its own name."""

    scripts: Mapping[str, Script] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    began: list[Place] = field(default_factory=list)
    ended: list[Place] = field(default_factory=list)
    inside: set[Place] = field(default_factory=set)

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        place = (scope.step, scope.iteration, scope.output_index)
        self.began.append(place)
        self.inside.add(place)
        try:
            await asyncio.sleep(self.seconds.get(scope.step, 0.0))
            script = self.scripts.get(scope.step)
            return await script(inputs, scope) if script else {"name": scope.step, **inputs}
        finally:
            self.inside.discard(place)
            self.ended.append(place)

    async def perform(
        self,
        definition: Definition,
        given: JsonObject | None = None,
        plan: JsonObject | None = None,
        memory: Memory | None = None,
        **options: Any,
    ) -> PipelineResult:
        executor = Executor(
            definition,
            {"act": lambda: self},
            Registry(options.pop("services", {})),
            memory or InMemory(),
            clock=LoopClock(),
            randomness=random.Random(1),
            **options,
        )
        return await executor.run(given or {}, plan or {})


def step(name: str, **fields: object) -> dict[str, object]:
    return {"id": name, "type": "act", **fields}


def path(origin: str, target: str, **fields: object) -> dict[str, object]:
    return {"from_step": origin, "to_step": target, **fields}


def pipeline(steps: list[dict[str, object]], *paths: dict[str, object]) -> Definition:
    """A definition of these; without paths one after the other."""
    document: dict[str, object] = {"name": "test", "steps": steps}
    if paths:
        document["flow"] = {"paths": list(paths)}
    return parse_definition(document, "test.yaml", {"act": Stage})


def statuses(result: PipelineResult) -> dict[Place, str]:
    return {(one.step_name, one.iteration, one.output_index): one.status for one in result.steps}


def gives(**output: object) -> Script:
    async def script(inputs: JsonObject, scope: StepScope) -> JsonObject:
        return output  # type: ignore[return-value]

    return script


async def blocks(inputs: JsonObject, scope: StepScope) -> JsonObject:
    raise StepBlocked("a rule", 2, {"rule": "a rule"})


async def fails(inputs: JsonObject, scope: StepScope) -> JsonObject:
    raise Unavailable("PEER_AWAY", "it is away")


__all__ = ["Observer"]
