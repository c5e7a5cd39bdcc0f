"""Pictures, also those that move, decoded with Pillow; runs in a limited process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image

from services.kit.errors import ArtlabError, InvalidArgument
from services.safety.images.looks import check_size, looks_at
from services.safety.images.sampling import sample

MAX_FRAMES = 10_000
_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP", "image/gif": "GIF"}
# check_size is stricter, and an error instead of a warning.
Image.MAX_IMAGE_PIXELS = None


def looks_of_picture(file: BinaryIO, media_type: str) -> Iterator[Image.Image]:
    """Yield what judges are to see of a picture, or of several frames of one that moves.

    Raises InvalidArgument MEDIA_MALFORMED, MEDIA_TOO_LARGE.
    """
    with malformed(), Image.open(file, formats=[_FORMATS[media_type]]) as picture:
        check_size(*picture.size)
        frames = getattr(picture, "n_frames", 1)
        if frames > MAX_FRAMES:
            raise InvalidArgument("MEDIA_TOO_LARGE", f"at most {MAX_FRAMES} frames", field="data")
        # Every frame is decoded: each builds on the one before, and a broken one is found.
        wanted = set(sample(frames))
        for number in range(frames):
            picture.seek(number)
            picture.load()
            if number in wanted:
                yield from looks_at(picture)


@contextmanager
def malformed() -> Iterator[None]:
    """Say MEDIA_MALFORMED of whatever a decoder stumbles over."""
    try:
        yield
    except (ArtlabError, MemoryError):
        raise
    # Decoders meet broken bytes with whatever exception they come across, struct.error included.
    except Exception as error:
        raise InvalidArgument(
            "MEDIA_MALFORMED", f"cannot be decoded ({type(error).__name__})", field="data"
        ) from error
