"""Between the messages of the contract and our own types."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from artlab.common.v1 import common_pb2
from artlab.safety.v1 import safety_pb2
from services.kit.errors import InvalidArgument
from services.kit.text import parse_text
from services.safety.checker import TextToCheck
from services.safety.domain.levels import ImagePurpose, Level, MediaKind, Purpose
from services.safety.domain.verdict import Verdict
from services.safety.images.checker import ImageToCheck
from services.safety.images.media_types import parse_media_type
from services.safety.images.spool import MAX_MESSAGE_BYTES

# BCP 47, as much of it as languages of explanations need.
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")

_PURPOSES = {
    safety_pb2.PURPOSE_INPUT: Purpose.INPUT,
    safety_pb2.PURPOSE_MEDIA_PROMPT: Purpose.MEDIA_PROMPT,
    safety_pb2.PURPOSE_CONTEXT: Purpose.CONTEXT,
    safety_pb2.PURPOSE_CODE: Purpose.CODE,
    safety_pb2.PURPOSE_TRANSLATION: Purpose.TRANSLATION,
    safety_pb2.PURPOSE_INTERCEPTION: Purpose.INTERCEPTION,
}
_IMAGE_PURPOSES = {
    safety_pb2.PURPOSE_IMAGE: ImagePurpose.IMAGE,
    safety_pb2.PURPOSE_INPUT_IMAGE: ImagePurpose.INPUT_IMAGE,
}
_PURPOSES_BACK: dict[Purpose | ImagePurpose, safety_pb2.Purpose.ValueType] = {
    **{ours: theirs for theirs, ours in _PURPOSES.items()},
    **{ours: theirs for theirs, ours in _IMAGE_PURPOSES.items()},
}
_LEVELS = {
    common_pb2.SAFETY_LEVEL_KIDS: Level.KIDS,
    common_pb2.SAFETY_LEVEL_YOUTH: Level.YOUTH,
    common_pb2.SAFETY_LEVEL_ADULT: Level.ADULT,
    common_pb2.SAFETY_LEVEL_RESEARCH: Level.RESEARCH,
}
_LEVELS_BY_NUMBER: dict[int, Level] = {int(theirs): ours for theirs, ours in _LEVELS.items()}
_LEVELS_BACK = {ours: theirs for theirs, ours in _LEVELS.items()}
_KINDS = {
    common_pb2.MEDIA_KIND_TEXT: MediaKind.TEXT,
    common_pb2.MEDIA_KIND_IMAGE: MediaKind.IMAGE,
    common_pb2.MEDIA_KIND_AUDIO: MediaKind.AUDIO,
    common_pb2.MEDIA_KIND_MUSIC: MediaKind.MUSIC,
    common_pb2.MEDIA_KIND_VIDEO: MediaKind.VIDEO,
    common_pb2.MEDIA_KIND_CODE: MediaKind.CODE,
}


def parse_check_text(request: safety_pb2.CheckTextRequest) -> TextToCheck:
    """Return the request, every field checked in the contract's order.

    Raises InvalidArgument with the field's path.
    """
    text = parse_text(request.text, "text")
    level = _parse_level(request.level)
    purpose = _PURPOSES.get(request.purpose)
    if purpose is None:
        raise InvalidArgument("INVALID_PURPOSE", "what the text is for", field="purpose")
    language = _parse_language(request.language)
    kind = _parse_kind(request, purpose)
    return TextToCheck(text, level, purpose, language, kind, request.local_only)


async def parse_check_image(
    requests: AsyncIterator[safety_pb2.CheckImageRequest],
) -> tuple[ImageToCheck, AsyncIterator[bytes]]:
    """Return what the first message says, and the bytes of it and the others as they come.

    Raises InvalidArgument with the field's path; the bytes do as well.
    """
    first = await anext(requests, None) or safety_pb2.CheckImageRequest()
    level = _parse_level(first.level)
    purpose = _IMAGE_PURPOSES.get(first.purpose)
    if purpose is None:
        raise InvalidArgument("INVALID_PURPOSE", "image or input_image", field="purpose")
    language = _parse_language(first.language)
    media_type = parse_media_type(first.media_type)
    asked = ImageToCheck(level, purpose, language, media_type, first.local_only)
    return asked, _pieces(first, requests)


async def _pieces(
    first: safety_pb2.CheckImageRequest, requests: AsyncIterator[safety_pb2.CheckImageRequest]
) -> AsyncIterator[bytes]:
    yield _piece(first)
    async for request in requests:
        for field, _ in request.ListFields():
            if field.name != "data":
                raise InvalidArgument(
                    "FIRST_MESSAGE_ONLY", "belongs into the first message", field=field.name
                )
        yield _piece(request)


def _piece(request: safety_pb2.CheckImageRequest) -> bytes:
    if len(request.data) > MAX_MESSAGE_BYTES:
        raise InvalidArgument(
            "MESSAGE_TOO_LARGE", f"at most {MAX_MESSAGE_BYTES} bytes a message", field="data"
        )
    return request.data


def _parse_level(value: int) -> Level:
    level = _LEVELS_BY_NUMBER.get(value)
    if level is None:
        raise InvalidArgument("INVALID_LEVEL", "kids, youth, adult or research", field="level")
    return level


def _parse_language(tag: str) -> str:
    if tag and _LANGUAGE.fullmatch(tag) is None:
        raise InvalidArgument("INVALID_LANGUAGE", "expected a BCP 47 tag", field="language")
    return tag


def _parse_kind(request: safety_pb2.CheckTextRequest, purpose: Purpose) -> MediaKind | None:
    if purpose is Purpose.MEDIA_PROMPT:
        kind = _KINDS.get(request.kind)
        if kind is None:
            raise InvalidArgument("INVALID_KIND", "a media prompt has a media kind", field="kind")
        return kind
    if request.kind != common_pb2.MEDIA_KIND_UNSPECIFIED:
        raise InvalidArgument("INVALID_KIND", "for media prompts only", field="kind")
    return None


def to_level(level: Level) -> common_pb2.SafetyLevel.ValueType:
    """Return the contract's name of a level."""
    return _LEVELS_BACK[level]


def to_verdict(verdict: Verdict) -> safety_pb2.Verdict:
    """Return the verdict as the contract says it."""
    return safety_pb2.Verdict(
        decision=safety_pb2.DECISION_BLOCKED if verdict.blocked else safety_pb2.DECISION_SAFE,
        rule=verdict.rule,
        codes=verdict.codes,
        checks=verdict.checks,
        terms=verdict.terms,
        explanation=verdict.explanation,
        suggestion=verdict.suggestion,
        language=verdict.language,
        purpose=_PURPOSES_BACK[verdict.purpose],
        level=_LEVELS_BACK[verdict.level],
        used=common_pb2.ModelUse(
            task="safety", backend=verdict.used.backend, model=verdict.used.model
        ),
        alternative=verdict.alternative,
    )
