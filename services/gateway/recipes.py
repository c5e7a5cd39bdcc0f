"""The recipes of this installation, as the interception service tells them."""

from __future__ import annotations

import grpc.aio

from artlab.common.v1 import common_pb2
from artlab.interception.v1 import interception_pb2, interception_pb2_grpc
from services.gateway.domain.recipe import Recipe
from services.gateway.kept import Kept
from services.kit.clock import Clock
from services.kit.enums import word_of
from services.kit.status import remote_errors

CALL_SECONDS = 5.0


class Recipes:
    """Asks for recipes; the list is kept for a second."""

    def __init__(self, channel: grpc.aio.Channel, clock: Clock) -> None:
        self._stub = interception_pb2_grpc.InterceptionServiceStub(channel)
        self._all = Kept(self._ask, clock)

    async def all(self) -> tuple[Recipe, ...]:
        """Return all recipes, in the order they are shown. Raises what interception answers."""
        return await self._all.get()

    async def get(self, name: str) -> Recipe:
        """Return one recipe. Raises NotFound CONFIG_NOT_FOUND."""
        request = interception_pb2.GetRecipeRequest(config_name=name)
        with remote_errors("interception"):
            answer = await self._stub.GetRecipe(request, timeout=CALL_SECONDS)
        return _recipe(answer.recipe)

    async def _ask(self) -> tuple[Recipe, ...]:
        request = interception_pb2.ListRecipesRequest()
        with remote_errors("interception"):
            answer = await self._stub.ListRecipes(request, timeout=CALL_SECONDS)
        found = map(_recipe, answer.recipes)
        return tuple(sorted(found, key=lambda recipe: (recipe.order, recipe.name)))


def _recipe(recipe: interception_pb2.Recipe) -> Recipe:
    return Recipe(
        name=recipe.name,
        title=dict(recipe.title),
        description=dict(recipe.description),
        context=dict(recipe.context),
        category=recipe.category,
        icon=recipe.icon,
        color=recipe.color,
        order=recipe.order,
        tags=tuple(recipe.tags),
        meta=dict(recipe.meta),
        minimum_age=recipe.minimum_age,
        workshop_suitable=recipe.workshop_suitable,
        accepts_context=recipe.accepts_context,
        requires_context=recipe.requires_context,
        translates_input=recipe.translates_input,
        passes=tuple(dict(one.title) for one in recipe.plan),
        output_configs=tuple(recipe.output_configs),
        default_output=word_of(common_pb2.MediaKind, recipe.default_output),
        local_only=recipe.local_only,
        origin=word_of(interception_pb2.RecipeOrigin, recipe.origin) or "shipped",
    )
