"""The RPCs: parse, call one function, translate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from artlab.interception.v1 import interception_pb2 as pb
from artlab.interception.v1 import interception_pb2_grpc
from services.interception import translate, translate_providers
from services.interception.interceptor import Interceptor
from services.interception.provider_list import ProviderList
from services.interception.rewriting import Rewriter
from services.kit.ids import parse_config_name
from services.kit.interceptors import Context
from services.kit.run_metadata import run_of
from services.kit.text import parse_text


class InterceptionServicer(interception_pb2_grpc.InterceptionServiceServicer):
    """artlab.interception.v1.InterceptionService."""

    def __init__(
        self, interceptor: Interceptor, rewriter: Rewriter, providers: ProviderList
    ) -> None:
        self._interceptor = interceptor
        self._rewriter = rewriter
        self._providers = providers

    async def Intercept(
        self, request: pb.InterceptRequest, context: Context
    ) -> AsyncIterator[pb.InterceptResponse]:
        """One pass."""
        run_id = run_of(context.invocation_metadata())
        parsed = replace(translate.parse_intercept(request), run_id=run_id)
        # From here on the call counts as begun, so that a client's channel does not repeat it:
        # what may be repeated is repeated here, where it is known that nothing was streamed.
        await context.send_initial_metadata(())
        async with aclosing(self._interceptor.intercept(parsed)) as updates:
            async for update in updates:
                yield pb.InterceptResponse(**translate.update_fields(update))

    async def RewritePrompt(
        self, request: pb.RewritePromptRequest, context: Context
    ) -> AsyncIterator[pb.RewritePromptResponse]:
        """A text for its medium."""
        parsed = translate.parse_rewrite(request)
        await context.send_initial_metadata(())
        async with aclosing(self._rewriter.rewrite(parsed)) as updates:
            async for update in updates:
                yield pb.RewritePromptResponse(**translate.update_fields(update))

    async def DetectLanguage(
        self, request: pb.DetectLanguageRequest, context: Context
    ) -> pb.DetectLanguageResponse:
        """The language of a text."""
        language = await self._interceptor.language_of(parse_text(request.text, "text"))
        return pb.DetectLanguageResponse(language=language)

    async def GetRecipe(
        self, request: pb.GetRecipeRequest, context: Context
    ) -> pb.GetRecipeResponse:
        """One recipe."""
        recipe = self._interceptor.recipe(parse_config_name(request.config_name))
        return pb.GetRecipeResponse(recipe=translate.recipe_message(recipe))

    async def ListRecipes(
        self, request: pb.ListRecipesRequest, context: Context
    ) -> pb.ListRecipesResponse:
        """All recipes."""
        return pb.ListRecipesResponse(
            recipes=[translate.recipe_message(each) for each in self._interceptor.recipes()],
            writers=self._interceptor.writer_names(),
        )

    async def ListProviders(
        self, request: pb.ListProvidersRequest, context: Context
    ) -> pb.ListProvidersResponse:
        """What can write here."""
        views = await self._providers.view()
        return pb.ListProvidersResponse(
            providers=map(translate_providers.provider_message, views),
            local_only=self._providers.local_only,
        )

    async def WarmUp(
        self, request: pb.WarmUpRequest, context: Context
    ) -> AsyncIterator[pb.WarmUpResponse]:
        """Models are loaded, and fetched if that is wanted."""
        modes = translate_providers.parse_modes(request.execution_mode)
        await context.send_initial_metadata(())
        async with aclosing(self._providers.warm(modes, fetch=request.fetch)) as warmings:
            async for warming in warmings:
                yield translate_providers.warming_message(warming)
