"""Between the generated types and ours."""

from __future__ import annotations

import re
from typing import TypedDict

from artlab.common.v1 import common_pb2
from artlab.interception.v1 import interception_pb2 as pb
from services.interception.domain.recipe import MediaKind, Recipe, Takes
from services.interception.interceptor import PassRequest
from services.interception.ports import ExecutionMode, Waiting
from services.interception.rewriting import RewriteRequest
from services.interception.writing import Update
from services.kit.errors import InvalidArgument
from services.kit.ids import parse_config_name, parse_pseudonym
from services.kit.text import parse_text

MAX_SEED = 2**53 - 1
# BCP 47, by its shape; the subtags are not looked up.
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODES: dict[int, ExecutionMode] = {
    common_pb2.EXECUTION_MODE_ECO: "eco",
    common_pb2.EXECUTION_MODE_FAST: "fast",
}
_KINDS: dict[MediaKind | None, common_pb2.MediaKind.ValueType] = {
    None: common_pb2.MEDIA_KIND_UNSPECIFIED,
    "text": common_pb2.MEDIA_KIND_TEXT,
    "image": common_pb2.MEDIA_KIND_IMAGE,
    "audio": common_pb2.MEDIA_KIND_AUDIO,
    "music": common_pb2.MEDIA_KIND_MUSIC,
    "video": common_pb2.MEDIA_KIND_VIDEO,
    "code": common_pb2.MEDIA_KIND_CODE,
}
_TAKES: dict[Takes, pb.PassText.ValueType] = {
    "previous": pb.PASS_TEXT_PREVIOUS,
    "original": pb.PASS_TEXT_ORIGINAL,
    "all": pb.PASS_TEXT_ALL,
}
_ORIGINS: dict[str, pb.RecipeOrigin.ValueType] = {
    "shipped": pb.RECIPE_ORIGIN_SHIPPED,
    "local": pb.RECIPE_ORIGIN_LOCAL,
}


def parse_intercept(request: pb.InterceptRequest) -> PassRequest:
    """The request as ours. Raises InvalidArgument with the field's path, in proto order."""
    name = parse_config_name(request.config_name)
    text = parse_text(request.text, "text")
    language = _parse_language(request.language)
    context = parse_text(request.context, "context", optional=True)
    mode, seed = _parse_mode(request.execution_mode), _parse_seed(request.seed)
    number = getattr(request, "pass")
    if number < 1:
        raise InvalidArgument("INVALID_PASS", "expected 1 to the recipe's passes", field="pass")
    return PassRequest(
        config_name=name,
        text=text,
        language=language,
        # White space alone is no rule.
        context=context if context.strip() else "",
        mode=mode,
        seed=seed,
        number=number,
        user_id=parse_pseudonym(request.user_id) if request.user_id else "",
        recipe_sha256=_parse_digest(request.recipe_sha256),
    )


def _parse_mode(mode: int) -> ExecutionMode:
    if mode not in _MODES:
        raise InvalidArgument(
            "INVALID_EXECUTION_MODE", "expected ECO or FAST", field="execution_mode"
        )
    return _MODES[mode]


def _parse_seed(seed: int) -> int:
    if not 0 <= seed <= MAX_SEED:
        raise InvalidArgument("INVALID_SEED", "expected 0 to 2^53 - 1", field="seed")
    return seed


def _parse_digest(digest: str) -> str:
    if digest and _SHA256.fullmatch(digest) is None:
        raise InvalidArgument("INVALID_DIGEST", "expected SHA-256 in hex", field="recipe_sha256")
    return digest


def _parse_language(tag: str) -> str:
    if not tag:
        return ""
    if len(tag) > 35 or _LANGUAGE.fullmatch(tag) is None:
        raise InvalidArgument("INVALID_LANGUAGE", "expected a BCP 47 tag", field="language")
    primary = tag.split("-", 1)[0].lower()
    return "" if primary == "und" else primary


def parse_rewrite(request: pb.RewritePromptRequest) -> RewriteRequest:
    """The request as ours. Raises InvalidArgument with the field's path, in proto order."""
    text = parse_text(request.text, "text")
    style = parse_config_name(request.style, "style")
    language = _parse_language(request.language)
    mode = _parse_mode(request.execution_mode)
    seed = _parse_seed(request.seed)
    user_id = parse_pseudonym(request.user_id) if request.user_id else ""
    recipe = parse_config_name(request.config_name) if request.config_name else ""
    return RewriteRequest(text, style, language, mode, seed, user_id, recipe)


class UpdateFields(TypedDict, total=False):
    """The fields of an answer that streams; one of them."""

    delta: pb.Delta
    position: pb.QueuePosition
    result: pb.PassResult


def update_fields(update: Update) -> UpdateFields:
    """Text as it grows, a place in the line, or the finished text."""
    if isinstance(update, str):
        return {"delta": pb.Delta(text=update)}
    if isinstance(update, Waiting):
        place = pb.QueuePosition(position=update.position, provider=update.provider)
        return {"position": place}
    message = pb.PassResult(
        passes=update.passes,
        text=update.text,
        used=common_pb2.ModelUse(task=update.task, backend=update.backend, model=update.model),
        from_language=update.from_language,
        to_language=update.to_language,
        parameters=dict(update.parameters),
    )
    # `pass` is a word of Python's own.
    setattr(message, "pass", update.number)
    if update.translated is not None:
        message.translated = update.translated
    return {"result": message}


def recipe_message(recipe: Recipe) -> pb.Recipe:
    """What a person chooses from."""
    return pb.Recipe(
        name=recipe.name,
        title=dict(recipe.title),
        description=dict(recipe.description),
        category=recipe.category,
        output_configs=recipe.output_configs,
        default_output=_KINDS[recipe.default_output],
        accepts_context=recipe.accepts_context,
        requires_context=recipe.requires_context,
        minimum_age=recipe.minimum_age,
        passes=recipe.passes,
        translates_input=recipe.translates_input,
        plan=_plan(recipe),
        result=pb.PASS_TEXT_ALL if recipe.result == "all" else pb.PASS_TEXT_PREVIOUS,
        local_only=recipe.local_only,
        origin=_ORIGINS[recipe.origin],
        context=dict(recipe.told),
        icon=recipe.icon,
        color=recipe.color,
        order=recipe.order,
        workshop_suitable=recipe.workshop_suitable,
        tags=recipe.tags,
        meta=dict(recipe.meta),
        keeps_words=recipe.keeps_words,
        sha256=recipe.sha256,
    )


def _plan(recipe: Recipe) -> list[pb.PassPlan]:
    if recipe.steps:
        return [pb.PassPlan(title=step.title, takes=_TAKES[step.takes]) for step in recipe.steps]
    return [pb.PassPlan(takes=pb.PASS_TEXT_PREVIOUS) for _ in range(recipe.passes)]
