"""The interception service as the orchestrator sees it, over gRPC."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import cast

import grpc.aio

from artlab.common.v1 import common_pb2
from artlab.interception.v1 import interception_pb2, interception_pb2_grpc
from services.kit.deadline import budget
from services.kit.enums import value_of, word_of
from services.kit.status import remote_errors
from services.kit.text import parse_text
from services.orchestrator.domain.run import Kind, Mode, ModelUse, PassResult, Recipe

CALL_SECONDS = 5.0
# Longer than any pass may take by the interception service's own settings, which end it first.
PASS_SECONDS = 930.0
_NUMBER = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)


class InterceptionClient:
    """Implements ports.Interception."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = interception_pb2_grpc.InterceptionServiceStub(channel)

    async def recipe(self, name: str) -> Recipe:
        """Return one recipe. Raises NotFound CONFIG_NOT_FOUND."""
        request = interception_pb2.GetRecipeRequest(config_name=name)
        with remote_errors("interception"):
            answer = await self._stub.GetRecipe(request, timeout=budget(CALL_SECONDS))
        recipe = answer.recipe
        kind = word_of(common_pb2.MediaKind, recipe.default_output)
        return Recipe(
            name=recipe.name,
            passes=max(1, recipe.passes),
            translates_input=recipe.translates_input,
            accepts_context=recipe.accepts_context,
            requires_context=recipe.requires_context,
            output_configs=tuple(recipe.output_configs),
            default_output=cast("Kind", kind) if kind else None,
        )

    async def detect_language(self, text: str) -> str:
        """BCP 47; "und" when unknown."""
        request = interception_pb2.DetectLanguageRequest(text=text)
        with remote_errors("interception"):
            answer = await self._stub.DetectLanguage(request, timeout=budget(CALL_SECONDS))
        return answer.language or "und"

    async def intercept(
        self,
        config_name: str,
        text: str,
        *,
        language: str,
        context: str,
        mode: Mode,
        seed: int,
        pass_number: int,
    ) -> AsyncIterator[str | PassResult]:
        """Yield deltas, then the result of one pass."""
        request = interception_pb2.InterceptRequest(
            config_name=config_name,
            text=text,
            language="" if language == "und" else language,
            context=context,
            execution_mode=value_of(common_pb2.ExecutionMode, mode),
            seed=seed,
        )
        setattr(request, "pass", pass_number)  # a keyword of Python
        with remote_errors("interception"):
            async for answer in self._stub.Intercept(request, timeout=budget(PASS_SECONDS)):
                if answer.HasField("delta"):
                    yield answer.delta.text
                elif answer.HasField("result"):
                    yield _result(answer.result)


def _result(result: interception_pb2.PassResult) -> PassResult:
    parameters = dict(result.parameters)
    attempt = parameters.pop("attempt", "")
    return PassResult(
        number=getattr(result, "pass"),
        passes=result.passes,
        text=parse_text(result.text, "text"),
        used=ModelUse(result.used.task, result.used.backend, result.used.model),
        from_language=result.from_language,
        to_language=result.to_language,
        translated=result.translated if result.HasField("translated") else None,
        parameters=parameters,
        attempt=int(attempt) if _NUMBER.fullmatch(attempt) else 1,
    )
