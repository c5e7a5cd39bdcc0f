"""Which pictures and films are looked at, and what bytes are."""

from __future__ import annotations

import filetype

from services.kit.errors import InvalidArgument

PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif")
FILMS = ("video/mp4", "video/webm")
# What the detector needs of a file.
HEAD_BYTES = 8192
_NAMES = {"video/x-m4v": "video/mp4", "image/apng": "image/png"}


def parse_media_type(text: str) -> str:
    """Return a media type that is looked at.

    Raises InvalidArgument MEDIA_TYPE_NOT_ALLOWED.
    """
    if text not in PICTURES and text not in FILMS:
        raise InvalidArgument(
            "MEDIA_TYPE_NOT_ALLOWED",
            f"one of {', '.join((*PICTURES, *FILMS))}",
            field="media_type",
        )
    return text


def check_media_type(head: bytes, said: str) -> None:
    """Make sure that bytes are what was said of them, from their beginning.

    Raises InvalidArgument MEDIA_TYPE_NOT_ALLOWED for what we do not look at, MEDIA_KIND_MISMATCH
    for another type than was said.
    """
    try:
        found = filetype.guess_mime(head) or ""
    except (IndexError, ValueError):  # cut headers trip some of its matchers
        found = ""
    found = _NAMES.get(found, found)
    if found not in PICTURES and found not in FILMS:
        raise InvalidArgument(
            "MEDIA_TYPE_NOT_ALLOWED", "not a picture or film that can be checked", field="data"
        )
    if found != said:
        raise InvalidArgument("MEDIA_KIND_MISMATCH", f"the bytes are {found}", field="media_type")
