"""What a plan makes of what its parent had. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.kit.errors import InvalidArgument
from services.orchestrator.domain.lineage import Lineage
from services.orchestrator.domain.run import OutputOffer, Recipe
from services.orchestrator.engine.definition import Definition

if TYPE_CHECKING:
    from services.orchestrator.domain.plan import RunRequest


def inherited(
    request: RunRequest,
    lineage: Lineage | None,
    recipe: Recipe,
    offers: tuple[OutputOffer, ...],
) -> tuple[RunRequest, Lineage | None]:
    """Return both without what nobody asked for in this request and this run has no use for."""
    if request.rerun is None or lineage is None:
        return request, lineage
    if not recipe.translates_input:
        copies = tuple(one for one in lineage.copies if one.type != "translation")
        lineage = replace(lineage, copies=copies)
    unset = request.rerun.unset
    if "parameters" in unset:
        known = {name for offer in offers for name in offer.parameters}
        kept = {name: value for name, value in request.parameters.items() if name in known}
        request = replace(request, parameters=kept)
    if "input_images" in unset:
        needed = max(len(offer.image_slots) for offer in offers)
        copies = tuple(one for one in lineage.copies if one.index <= needed)
        lineage = replace(lineage, copies=copies)
        request = replace(request, input_images=len(lineage.images))
    return request, lineage


def require_findable(request: RunRequest, pipeline: Definition) -> None:
    """Raise InvalidArgument RERUN_NOT_POSSIBLE for a pipeline that cannot find what is copied."""
    # What is taken over is found by steps that are called as their types, in their first round.
    if request.rerun is None:
        return
    taken = {"translation_and_safety", "interception"}
    for step in pipeline.steps:
        if step.kind in taken and step.id != step.kind:
            raise InvalidArgument(
                "RERUN_NOT_POSSIBLE",
                f"in {pipeline.name} the step {step.id} takes nothing over from another run",
                field="pipeline",
            )
