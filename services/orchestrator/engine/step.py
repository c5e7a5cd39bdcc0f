"""What a step of a pipeline is: the port that built-in steps and plug-ins implement. Pure.

A step gets its inputs with all templates filled in, and what it needs of the world by name, so that
it runs in a test with none of it. What it returns is JSON, for templates and conditions of others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Protocol

from services.kit.ids import RunId

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
JsonObject = Mapping[str, Json]
StepState = Literal["succeeded", "blocked", "failed", "skipped", "cancelled"]


class ServiceRegistry(Protocol):
    """What steps may ask for by name.

    recorder, safety, interception, media, tracker, clock, telemetry, and more.
    """

    def get(self, name: str) -> object:
        """Return a service. Raises FailedPrecondition SERVICE_NOT_THERE, naming it."""
        ...


@dataclass(frozen=True, slots=True)
class StepScope:
    """Where a step is being run.

    Attributes:
        run_id: the run.
        step: id of the step in its pipeline.
        iteration: from 1; higher when a loop has come back to it.
        attempt: from 1; higher when an earlier one failed.
        config: the step's own configuration, as in the file.
        services: what it may ask for.
        output_index: the output it is about, from 1; 0 outside of `for_each_output`.
    """

    run_id: RunId
    step: str
    iteration: int
    attempt: int
    config: JsonObject
    services: ServiceRegistry
    output_index: int = 0


class Step(Protocol):
    """One kind of step. An instance belongs to one step of one run.

    `run` may be called again after a failure, and by another process after a crash: what it does
    must be idempotent under (run_id, step, iteration, output_index).
    """

    async def run(self, inputs: JsonObject, scope: StepScope) -> JsonObject:
        """Do the work; return its output.

        Raises ArtlabError for a fault, StepBlocked for a verdict, StepWaits for a person.
        """
        ...


class Remembering(Protocol):
    """A step that finds what it did in the record itself, instead of in a `step_output` entity."""

    async def restore(self, inputs: JsonObject, scope: StepScope) -> JsonObject | None:
        """Return the output of a step that was done before, or None. Raises StepBlocked as well."""
        ...


class StepBlocked(Exception):
    """A check said no. A verdict, not a fault.

    Args:
        rule: the rule that decided, without user text.
        stage: 1 to 4.
        output: what conditions and templates see of it.
    """

    def __init__(self, rule: str, stage: int, output: JsonObject | None = None) -> None:
        super().__init__(rule)
        self.rule = rule
        self.stage = stage
        self.output: JsonObject = output or {}


class StepWaits(Exception):
    """A person is asked; the run parks until there is an answer or the time is over.

    Args:
        question: sequence of the recorded question.
        seconds: how long at most.
    """

    def __init__(self, question: int, seconds: float) -> None:
        super().__init__(question)
        self.question = question
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a step. `error` is a reason, empty for the one that went well."""

    number: int
    duration: timedelta
    error: str = ""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What became of one step, in the order steps ended."""

    step_name: str
    step_index: int
    status: StepState
    result: JsonObject
    iteration: int = 1
    attempts: tuple[Attempt, ...] = ()
    # Reason and message of what ended it badly, and its stage.
    error: str = ""
    message: str = ""
    stage: int = 0
    # Whether `result` is the fallback of the file rather than what the step said.
    fell_back: bool = False
    # Whether it was found in the record rather than done.
    restored: bool = False
    # The output it was about, from 1; 0 outside of `for_each_output`.
    output_index: int = 0
    # The last error as it was raised, for who records it; not part of the result.
    cause: Exception | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """A run in memory: what went in, what came out, and every step.

    Attributes:
        input: what templates see as `input`.
        output: of the steps that nothing follows, by step id.
        steps: in the order they ended.
        state: succeeded, blocked or failed, by the steps whose end nothing took care of.
    """

    input: JsonObject
    output: JsonObject
    steps: tuple[StepResult, ...] = ()
    state: Literal["succeeded", "blocked", "failed"] = "succeeded"
    failed_step: StepResult | None = field(default=None)
