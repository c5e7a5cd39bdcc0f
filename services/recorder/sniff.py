"""What bytes are, told from the bytes and never from what anybody says of them."""

from __future__ import annotations

from collections.abc import Mapping

import filetype

from services.kit.errors import InvalidArgument
from services.recorder.domain.content import Content
from services.recorder.domain.media_type import (
    EXTENSIONS,
    JAVASCRIPT,
    JSON,
    TEXT,
    allowed_media_types,
)

# The names that browsers know, for those the library gives.
_NAMES: Mapping[str, str] = {
    "audio/x-wav": "audio/wav",
    "audio/x-flac": "audio/flac",
    "video/x-m4v": "video/mp4",
    # How many pictures it has is a matter of its structure.
    "image/apng": "image/png",
}
_MARKUP = (b"<!doctype", b"<html", b"<svg", b"<?xml", b"<script", b"<iframe", b"<body", b"<head")


def media_type_of(content: Content) -> str:
    """Return the media type of complete content, one that its entity type allows.

    Raises InvalidArgument: EMPTY_MEDIA, NOT_UTF8, NOT_JSON, MEDIA_TOO_LARGE (JSON over 1 MiB),
    MEDIA_TYPE_NOT_ALLOWED (nothing we record), MEDIA_KIND_MISMATCH (not what the type says).
    """
    if not content.size_bytes:
        raise InvalidArgument("EMPTY_MEDIA", "an entity has at least one byte", field="data")
    allowed = allowed_media_types(content.entity_type)
    if content.is_text:
        return _text_type(content, allowed)
    found = _binary_type(content.head)
    if found in allowed:
        return found
    _refuse_known_media(content)
    raise InvalidArgument(
        "MEDIA_TYPE_NOT_ALLOWED", "not a media type that is recorded", field="data"
    )


def _text_type(content: Content, allowed: frozenset[str]) -> str:
    try:
        content.check_text()
    except InvalidArgument:
        # Asked only now: a person may well type a text that begins with "GIF" or "ID3".
        _refuse_known_media(content)
        raise
    if JSON in allowed:
        content.check_json()
        return JSON
    if JAVASCRIPT in allowed:
        # A sketch that is a whole page would be run as one by whoever opens it.
        if _is_markup(content.head):
            raise InvalidArgument(
                "MEDIA_TYPE_NOT_ALLOWED", "a sketch is JavaScript, not a page", field="data"
            )
        return JAVASCRIPT
    return TEXT


def _refuse_known_media(content: Content) -> None:
    found = _binary_type(content.head)
    if found in EXTENSIONS:
        raise InvalidArgument(
            "MEDIA_KIND_MISMATCH", f"{found} is no {content.entity_type.value}", field="data"
        )


def _binary_type(head: bytes) -> str:
    try:
        found = filetype.guess_mime(head)
    except (IndexError, ValueError):  # cut headers trip some of its matchers
        return ""
    return _NAMES.get(found or "", found or "")


def _is_markup(head: bytes) -> bool:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith(_MARKUP)
