"""What a person chooses from: the recipes, with everything they say."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.gateway.answers_installation import RecipeModel, RecipesResponse, RecipeSummary
from services.gateway.openapi import problems
from services.gateway.parts import Parts, parts_of
from services.gateway.requests import NoQuery
from services.kit.errors import InvalidArgument, NotFound
from services.kit.ids import parse_config_name

router = APIRouter(prefix="/api/configs", tags=["recipes"])

PartsHere = Annotated[Parts, Depends(parts_of)]
NoParameters = Annotated[NoQuery, Query()]


@router.get("", responses=problems(422, 503, 504))
async def configs(parts: PartsHere, _: NoParameters) -> RecipesResponse:
    """List the recipes in the order they are shown, without what they tell a model."""
    found = await parts.recipes.all()
    return RecipesResponse(recipes=[RecipeSummary.model_validate(asdict(one)) for one in found])


@router.get("/{name}", responses=problems(404, 422, 503, 504))
async def config(name: str, parts: PartsHere, _: NoParameters) -> RecipeModel:
    """Return one recipe with what a model is told by it."""
    try:
        known = parse_config_name(name)
    except InvalidArgument:
        raise NotFound("CONFIG_NOT_FOUND", "there is no such recipe", field="name") from None
    return RecipeModel.model_validate(asdict(await parts.recipes.get(known)))
