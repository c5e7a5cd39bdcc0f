"""What a limited process of this service does: look into a file, or prepare a picture."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from services.kit.limited_task import Task
from services.media.decoding.images import inspect_image, prepare_image
from services.media.decoding.streams import inspect_stream


def decoding() -> Task:
    """Return the task: a JSON object of arguments and one file in, a JSON object out.

    After the object comes a line feed and, of a prepared picture, its bytes.
    """
    return _decode


def _decode(request: bytes, files: Sequence[int]) -> bytes:
    job = json.loads(request)
    picture = b""
    with os.fdopen(os.dup(files[0]), "rb") as file:
        # The descriptor's position is shared with whoever wrote the file.
        file.seek(0)
        match job["task"]:
            case "image":
                told = inspect_image(file, job["media_type"], may_move=job["may_move"])
            case "stream":
                told = inspect_stream(
                    file, job["media_type"], is_video=job["is_video"], is_whole=job["is_whole"]
                )
            case "prepare":
                told, picture = prepare_image(file, job["side"])
            case unknown:
                raise ValueError(unknown)
    return json.dumps(told).encode() + b"\n" + picture
