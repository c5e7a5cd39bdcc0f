"""Which media types an entity may have, and the file extension of each. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from services.recorder.domain.vocabulary import EntityType

TEXT = "text/plain"
JSON = "application/json"
JAVASCRIPT = "text/javascript"

EXTENSIONS: Mapping[str, str] = {
    TEXT: "txt",
    JSON: "json",
    JAVASCRIPT: "js",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "video/mp4": "mp4",
    "video/webm": "webm",
}

_IMAGES = frozenset(name for name in EXTENSIONS if name.startswith("image/"))
_SOUNDS = frozenset(name for name in EXTENSIONS if name.startswith("audio/"))
_VIDEOS = frozenset(name for name in EXTENSIONS if name.startswith("video/"))

JSON_TYPES = frozenset(
    {
        EntityType.SAFETY,
        EntityType.SAFETY_PRE_OUTPUT,
        EntityType.PREVIEW_SAFETY,
        EntityType.SAFETY_OUTPUT,
        EntityType.SAFETY_IMAGE,
        EntityType.EXPLANATION,
        EntityType.ERROR,
        EntityType.QUESTION,
        EntityType.DECISION,
        EntityType.STEP_OUTPUT,
        EntityType.LEGACY_METADATA,
    }
)
_MEDIA: Mapping[EntityType, frozenset[str]] = {
    EntityType.INPUT_IMAGE: _IMAGES,
    EntityType.OUTPUT_IMAGE: _IMAGES,
    EntityType.OUTPUT_AUDIO: _SOUNDS,
    EntityType.OUTPUT_MUSIC: _SOUNDS,
    # Some video workflows write moving pictures as WebP or GIF.
    EntityType.OUTPUT_VIDEO: _VIDEOS | {"image/webp", "image/gif"},
    EntityType.OUTPUT_CODE: frozenset({JAVASCRIPT}),
}


def allowed_media_types(entity_type: EntityType) -> frozenset[str]:
    """The media types that bytes of such an entity may turn out to be."""
    if entity_type in JSON_TYPES:
        return frozenset({JSON})
    return _MEDIA.get(entity_type, frozenset({TEXT}))
