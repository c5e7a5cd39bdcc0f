"""What a driver is told while a pipeline is carried out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from services.orchestrator.engine.step import JsonObject, StepResult

OutputState = Literal["succeeded", "blocked", "failed", "not_available"]


@dataclass(frozen=True, slots=True)
class OutputEnd:
    """How the body of a `for_each_output` ended for one output.

    Attributes:
        index: the output, from 1.
        output: of the steps that nothing follows, by step id.
        failed_step: the one that ended it badly.
        found: whether it had ended before and nothing was done.
    """

    index: int
    state: OutputState
    output: JsonObject
    failed_step: StepResult | None = None
    found: bool = False


class Observer(Protocol):
    """Told about steps and outputs, in the order things happen. An error ends the executor."""

    async def step_begins(self, step: str, iteration: int, output_index: int) -> None:
        """A step is about to be done; not told of one that is only remembered."""
        ...

    async def step_ended(self, result: StepResult) -> None:
        """A step has ended, was skipped, or was found in the record."""
        ...

    async def output_state(self, index: int) -> OutputState | None:
        """Return how an output ended before, so that it is left alone; None to work on it."""
        ...

    async def output_ended(self, end: OutputEnd) -> None:
        """The body has ended for an output; not told of one that had ended before."""
        ...


class Unobserved:
    """Nobody looks, and no output has ended before. To inherit from: override what is wanted."""

    async def step_begins(self, step: str, iteration: int, output_index: int) -> None:
        """Do nothing."""

    async def step_ended(self, result: StepResult) -> None:
        """Do nothing."""

    async def output_state(self, index: int) -> OutputState | None:
        """Return None."""
        return None

    async def output_ended(self, end: OutputEnd) -> None:
        """Do nothing."""
