"""The task of the limited process that decodes: a file in, small pictures out.

The answer is a line of JSON with the sizes of the pictures, then their bytes: RGB, row by row.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence

from PIL import Image

from services.kit.errors import InvalidArgument
from services.kit.limited_task import Task
from services.safety.images.films import looks_of_film
from services.safety.images.media_types import FILMS
from services.safety.images.pictures import looks_of_picture
from services.safety.images.sampling import MAX_LOOKED_AT_BYTES


def load() -> Task:
    """The task; its request is the media type."""
    Image.preinit()
    return _decode


def _decode(request: bytes, files: Sequence[int]) -> bytes:
    media_type = request.decode()
    sizes: list[tuple[int, int]] = []
    pixels = bytearray()
    with os.fdopen(os.dup(files[0]), "rb") as file:
        file.seek(0)
        looks: Iterator[Image.Image] = (
            looks_of_film(file, media_type)
            if media_type in FILMS
            else looks_of_picture(file, media_type)
        )
        for look in looks:
            sizes.append(look.size)
            pixels += look.tobytes()
            if len(pixels) > MAX_LOOKED_AT_BYTES:
                raise InvalidArgument("MEDIA_TOO_LARGE", "too much to look at", field="data")
    return json.dumps(sizes).encode() + b"\n" + pixels
