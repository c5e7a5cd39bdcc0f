"""Which entities a plan expects, so that a person sees how far a run has come. Pure.

A run may record more than that, as an explanation or an error; what only some runs have is counted
when it is sure to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from services.orchestrator.domain.question_config import TYPE, is_surely_asked
from services.orchestrator.domain.run import Recipe
from services.orchestrator.engine.graph import Flow, StepDefinition

if TYPE_CHECKING:
    from services.orchestrator.domain.plan import PlannedOutput, RunRequest


def expected_entities(
    request: RunRequest,
    recipe: Recipe,
    flow: Flow,
    outputs: Sequence[PlannedOutput],
    *,
    checks_images: bool,
) -> tuple[str, ...]:
    """Return the types of the entities a run of this pipeline records, in the order of its file."""
    types = ["input"]
    types += ["context"] if request.context else []
    picture = ["safety_image", "input_image"] if checks_images else ["input_image"]
    types += picture * request.input_images
    for step in flow.steps:
        if step.body is None:
            types += _of_text(step, recipe)
            types += _of_question(step, flow, request)
            continue
        for output in outputs:
            for inner in step.body.steps:
                types += _of_output(inner, output, checks_images=checks_images)
                types += _of_question(inner, step.body, request)
    return tuple(types)


def _of_text(step: StepDefinition, recipe: Recipe) -> list[str]:
    match step.kind:
        case "translation_and_safety":
            return ["translation", "safety"] if recipe.translates_input else ["safety"]
        case "interception":
            passes = ["interception_pass"] * recipe.passes if recipe.passes > 1 else []
            return [*passes, "interception"]
        case "translate":
            return ["translation"]
        case "check_text":
            return ["safety"]
        case _:
            return []


def _of_output(step: StepDefinition, output: PlannedOutput, *, checks_images: bool) -> list[str]:
    match step.kind:
        case "media_prompt":
            return ["safety", "media_prompt"] if output.prompt_style else []
        case "pre_output_safety":
            return ["safety_pre_output"]
        case "media_generation":
            types = [f"output_{output.kind}"]
            types += ["safety_image"] if checks_images and output.is_visual else []
            types += ["safety_output"] if output.kind == "code" else []
            return types
        case _:
            return []


def _of_question(step: StepDefinition, flow: Flow, request: RunRequest) -> list[str]:
    if step.kind != TYPE:
        return []
    sure = is_surely_asked(step, flow, pause_before_render=request.pause_before_render)
    return ["question", "decision"] if sure else []
