"""What templates of a pipeline see of a run: `input` and `plan`. docs/pipelines.md lists it."""

from __future__ import annotations

from services.orchestrator.domain.plan import Plan, PlannedOutput
from services.orchestrator.engine.step import JsonObject


def input_values(plan: Plan) -> JsonObject:
    """Return what the person gave."""
    request = plan.request
    return {
        "text": request.input_text,
        "context": request.context,
        "language": request.language,
        "images": request.input_images,
        "parameters": dict(request.parameters),
    }


def plan_values(plan: Plan) -> JsonObject:
    """Return how the run is to be carried out."""
    request = plan.request
    return {
        "config": plan.recipe.name,
        "passes": plan.recipe.passes,
        "translates_input": plan.recipe.translates_input,
        "level": plan.level,
        "mode": request.mode,
        "seed": plan.seed,
        "checks_images": plan.checks_images,
        "pause_before_render": request.pause_before_render,
        "outputs": [_output(output) for output in plan.outputs],
    }


def _output(output: PlannedOutput) -> JsonObject:
    return {
        "index": output.index,
        "occurrence": output.occurrence,
        "config": output.config,
        "kind": output.kind,
        "seed": output.seed,
    }
