"""What a text or a picture is judged by: how strict, and what it is for. Pure."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Level(IntEnum):
    """How strict to be; the smaller, the stricter. The numbers are those of the proto."""

    KIDS = 1
    YOUTH = 2
    ADULT = 3
    RESEARCH = 4

    @property
    def label(self) -> str:
        """The name in settings, the policy and rules, e.g. ``kids``."""
        return self.name.lower()


class Purpose(StrEnum):
    """What the text is for."""

    INPUT = "input"
    CONTEXT = "context"
    TRANSLATION = "translation"
    INTERCEPTION = "interception"
    MEDIA_PROMPT = "media_prompt"
    CODE = "code"


class ImagePurpose(StrEnum):
    """Where a picture or a film comes from: it was made here, or a person brought it."""

    IMAGE = "image"
    INPUT_IMAGE = "input_image"


class MediaKind(StrEnum):
    """What a media prompt is to become."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    MUSIC = "music"
    VIDEO = "video"
    CODE = "code"


LEVELS_BY_LABEL = {level.label: level for level in Level}
