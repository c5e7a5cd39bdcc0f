"""Carries out a pipeline, from its beginning or from where another one came. Pure of services."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection

from services.kit.clock import Clock, SystemClock
from services.kit.ids import RunId
from services.orchestrator.engine.definition import Definition
from services.orchestrator.engine.flow_run import FlowRun
from services.orchestrator.engine.kinds import Factories
from services.orchestrator.engine.memory import InMemory, Memory
from services.orchestrator.engine.observer import Observer, Unobserved
from services.orchestrator.engine.step import Json, JsonObject, PipelineResult, ServiceRegistry
from services.orchestrator.engine.work import Work

# Errors which say that somebody else has the run, or that it is over: not the step's affair.
FATAL_REASONS = frozenset({"FENCED", "RUN_FINAL"})


class Executor:
    """One definition for one run.

    Args:
        factories: the types there are, the domain's; the generic ones are always there.
        services: what steps may ask for.
        memory: what was done before; a new one for a run that is not to go on anywhere else.
        run_id: what steps are told; a random one on the command line.
        observer: who is told about steps and outputs.
        outputs_at_once: of one `for_each_output` without `at_once`.
        output_slots: how many outputs all runs together may have in work; None for no such limit.
        fatal_reasons: of errors that end the executor rather than the step.
    """

    def __init__(
        self,
        definition: Definition,
        factories: Factories,
        services: ServiceRegistry,
        memory: Memory | None = None,
        *,
        run_id: RunId | None = None,
        observer: Observer | None = None,
        clock: Clock | None = None,
        randomness: random.Random | None = None,
        outputs_at_once: int = 1,
        output_slots: asyncio.Semaphore | None = None,
        fatal_reasons: Collection[str] = FATAL_REASONS,
    ) -> None:
        self._definition = definition
        self._factories = factories
        self._services = services
        self._memory = memory or InMemory()
        self._run_id = run_id or RunId.new()
        self._observer = observer or Unobserved()
        self._clock = clock or SystemClock()
        self._random = randomness or random.Random()  # noqa: S311  # spreads waits, no secret
        self._outputs_at_once = outputs_at_once
        self._output_slots = output_slots
        self._fatal_reasons = frozenset(fatal_reasons)

    async def run(self, given: JsonObject, plan: JsonObject) -> PipelineResult:
        """Do what is not done yet; return how everything ended.

        Args:
            given: what templates see as `input`.
            plan: what they see as `plan`; `outputs` are what `for_each_output` goes through, each
                with `index` (from 1), `config` and `kind`.

        Raises StepWaits (the one that is over first) when a person is asked and everything else is
        done; ArtlabError from the memory and for fatal reasons. When it is cancelled or raises, no
        task of it is left.
        """
        work = Work(
            run_id=self._run_id,
            factories=self._factories,
            services=self._services,
            memory=self._memory,
            observer=self._observer,
            clock=self._clock,
            randomness=self._random,
            outputs_at_once=self._outputs_at_once,
            output_slots=self._output_slots,
            fatal_reasons=self._fatal_reasons,
            given=given,
            plan=plan,
        )
        known: dict[str, Json] = {"input": given, "plan": plan, "steps": {}}
        end = await FlowRun(work, self._definition.flow, known).run()
        return PipelineResult(given, end.output, end.steps, end.state, end.failed_step)
