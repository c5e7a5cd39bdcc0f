"""Where in a pipeline a step stands, and what that makes of the names of its entities.

A step that is called as its type, in its first round, leaves entities as the four stages always
did. Every other one marks them with its id and round, so that each finds its own again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from services.kit.errors import FailedPrecondition, InvalidArgument
from services.orchestrator.domain.plan import PlannedOutput
from services.orchestrator.engine.step import JsonObject, StepScope
from services.orchestrator.record import ITERATION, STEP
from services.orchestrator.run_in_work import RunInWork

# Names of services that only built-in steps ask for.
RUN, INPUT_IMAGES, RENDERING = "run", "input_images", "rendering"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step stands.

    Attributes:
        marks: metadata of everything it records.
        suffix: of its upload ids.
    """

    marks: Mapping[str, str]
    suffix: str

    def upload(self, name: str) -> str:
        """Return the upload id of something the step records."""
        return name + self.suffix


def place_of(scope: StepScope, step_type: str) -> Place:
    """Return where a step of a built-in type stands."""
    if scope.step == step_type and scope.iteration == 1:
        return Place({}, "")
    marks = {STEP: scope.step, ITERATION: str(scope.iteration)}
    return Place(marks, f"-{upload_word(scope.step)}-{scope.iteration}")


def upload_word(step: str) -> str:
    """Return the id of a step, ``[a-z][a-z0-9_]{0,31}``, as a part of an upload id."""
    return step.replace("_", "-")


def run_of(scope: StepScope) -> RunInWork:
    """Return the run a built-in step works on. Raises FailedPrecondition SERVICE_NOT_THERE."""
    return service(scope, RUN, RunInWork)


def service(scope: StepScope, name: str, kind: type[T]) -> T:
    """Return a service of a certain kind. Raises FailedPrecondition SERVICE_NOT_THERE."""
    found = scope.services.get(name)
    if not isinstance(found, kind):
        raise FailedPrecondition(
            "SERVICE_NOT_THERE", f"{name} is not what this step needs", metadata={"service": name}
        )
    return found


def output_of(scope: StepScope, run: RunInWork) -> PlannedOutput:
    """Return the output a step is about. Raises FailedPrecondition STEP_NEEDS_OUTPUT."""
    if not 1 <= scope.output_index <= len(run.plan.outputs):
        raise FailedPrecondition(
            "STEP_NEEDS_OUTPUT",
            f"{scope.step} is about one output and belongs into the body of for_each_output",
            metadata={"step": scope.step},
        )
    return run.plan.outputs[scope.output_index - 1]


def text_in(inputs: JsonObject, scope: StepScope) -> str:
    """Return the text a step was given. Raises InvalidArgument STEP_INPUT_INVALID."""
    text = inputs.get("text")
    if not isinstance(text, str) or not text.strip():
        raise InvalidArgument(
            "STEP_INPUT_INVALID",
            f"{scope.step} needs a text",
            field=f"steps.{scope.step}.inputs.text",
        )
    return text
