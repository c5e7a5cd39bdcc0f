"""The interception service as the orchestrator sees it, over gRPC."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from typing import cast

import grpc.aio

from artlab.common.v1 import common_pb2
from artlab.interception.v1 import interception_pb2, interception_pb2_grpc
from services.kit.deadline import budget
from services.kit.enums import value_of, word_of
from services.kit.errors import FailedPrecondition
from services.kit.log import logged_run
from services.kit.run_metadata import run_metadata
from services.kit.status import remote_errors
from services.kit.text import parse_text
from services.orchestrator.domain.run import Kind, ModelUse, PassResult, PassText, Recipe
from services.orchestrator.ports import LinePlace, PassJob, RecipeTexts, RewriteJob, TextUpdate

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
            takes=tuple(_pass_text(one.takes) for one in recipe.plan),
            result=_pass_text(recipe.result),
            keeps_words=recipe.keeps_words,
            is_local=recipe.origin == interception_pb2.RECIPE_ORIGIN_LOCAL,
            sha256=recipe.sha256,
            local_only=recipe.local_only,
        )

    async def detect_language(self, text: str) -> str:
        """BCP 47; "und" when unknown."""
        request = interception_pb2.DetectLanguageRequest(text=text)
        with remote_errors("interception"):
            answer = await self._stub.DetectLanguage(request, timeout=budget(CALL_SECONDS))
        return answer.language or "und"

    async def recipe_texts(self, name: str, sha256: str) -> RecipeTexts:
        """See the port."""
        request = interception_pb2.GetRecipeRequest(config_name=name)
        with remote_errors("interception"):
            answer = await self._stub.GetRecipe(request, timeout=budget(CALL_SECONDS))
        recipe = answer.recipe
        if recipe.sha256 != sha256:
            raise FailedPrecondition(
                "RECIPE_CHANGED", f"{name} was changed while the run went through it; start again"
            )
        return RecipeTexts(
            told=_texts(recipe.context.values()),
            shown=_texts([*recipe.title.values(), *recipe.description.values()]),
        )

    async def intercept(self, job: PassJob) -> AsyncIterator[TextUpdate]:
        """Yield deltas, and its place while it waits, then the result of one pass."""
        request = interception_pb2.InterceptRequest(
            config_name=job.config_name,
            text=job.text,
            language="" if job.language == "und" else job.language,
            context=job.context,
            execution_mode=value_of(common_pb2.ExecutionMode, job.mode),
            seed=job.seed,
            user_id=job.user_id,
            recipe_sha256=job.recipe_sha256,
        )
        setattr(request, "pass", job.number)  # a keyword of Python
        with remote_errors("interception"):
            call = self._stub.Intercept(
                request, timeout=budget(PASS_SECONDS), metadata=run_metadata(logged_run())
            )
            async for answer in call:
                update = _update(answer)
                if update is not None:
                    yield update

    async def rewrite(self, job: RewriteJob) -> AsyncIterator[TextUpdate]:
        """Yield deltas, and its place while it waits, then a text put for its medium."""
        request = interception_pb2.RewritePromptRequest(
            text=job.text,
            style=job.style,
            kind=value_of(common_pb2.MediaKind, job.kind),
            language="" if job.language == "und" else job.language,
            execution_mode=value_of(common_pb2.ExecutionMode, job.mode),
            seed=job.seed,
            user_id=job.user_id,
            config_name=job.recipe,
        )
        with remote_errors("interception"):
            async for answer in self._stub.RewritePrompt(request, timeout=budget(PASS_SECONDS)):
                update = _update(answer)
                if update is not None:
                    yield update


def _texts(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text for text in dict.fromkeys(texts) if text.strip())


def _update(
    answer: interception_pb2.InterceptResponse | interception_pb2.RewritePromptResponse,
) -> TextUpdate | None:
    match answer.WhichOneof("update"):
        case "delta":
            return answer.delta.text
        case "position":
            return LinePlace(answer.position.position)
        case "result":
            return _result(answer.result)
        case _:
            return None  # of a later release


def _pass_text(value: interception_pb2.PassText.ValueType) -> PassText:
    return cast("PassText", word_of(interception_pb2.PassText, value) or "previous")


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
