"""What a limited process does with a preview: a picture of anybody's into a small one."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from services.kit.limited_task import Task
from services.media.decoding.limits import MAX_PREVIEW_BYTES

MAX_PIXELS = 2048 * 2048
SIDES = (384, 256, 128)
QUALITY = 75
_FORMATS = ("JPEG", "PNG", "WEBP")


def previewing() -> Task:
    """Return the task: a picture in, a small JPEG out; nothing when it is no picture."""
    return _preview


def _preview(request: bytes, files: Sequence[int]) -> bytes:
    return small(request) or b""


def small(picture: bytes) -> bytes | None:
    """Return it as a small JPEG without metadata; None when it is none, or has too many pixels."""
    try:
        with Image.open(io.BytesIO(picture), formats=_FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                return None
            opened.draft("RGB", (SIDES[0], SIDES[0]))
            decoded = opened.convert("RGB")
    # Pillow raises whatever its decoders do; the picture is a stranger's.
    except Exception:
        return None
    for side in SIDES:
        decoded.thumbnail((side, side))
        file = io.BytesIO()
        decoded.save(file, "JPEG", quality=QUALITY)
        if file.tell() <= MAX_PREVIEW_BYTES:
            return file.getvalue()
    return None
