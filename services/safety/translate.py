"""Between the messages of the contract and our own types."""

from __future__ import annotations

import re

from artlab.common.v1 import common_pb2
from artlab.safety.v1 import safety_pb2
from services.kit.errors import InvalidArgument
from services.kit.text import parse_text
from services.safety.checker import TextToCheck
from services.safety.domain.levels import Level, MediaKind, Purpose
from services.safety.domain.verdict import Verdict

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
_PURPOSES_BACK = {ours: theirs for theirs, ours in _PURPOSES.items()}
_LEVELS = {
    common_pb2.SAFETY_LEVEL_KIDS: Level.KIDS,
    common_pb2.SAFETY_LEVEL_YOUTH: Level.YOUTH,
    common_pb2.SAFETY_LEVEL_ADULT: Level.ADULT,
    common_pb2.SAFETY_LEVEL_RESEARCH: Level.RESEARCH,
}
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
    level = _LEVELS.get(request.level)
    if level is None:
        raise InvalidArgument("INVALID_LEVEL", "kids, youth, adult or research", field="level")
    purpose = _PURPOSES.get(request.purpose)
    if purpose is None:
        raise InvalidArgument("INVALID_PURPOSE", "what the text is for", field="purpose")
    if request.language and _LANGUAGE.fullmatch(request.language) is None:
        raise InvalidArgument("INVALID_LANGUAGE", "expected a BCP 47 tag", field="language")
    return TextToCheck(text, level, purpose, request.language, _parse_kind(request, purpose))


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
    )
