"""What a file may claim to be, and what is said of one that claims more. Pure.

The recorder's limits: it refuses the same when a file is committed.
"""

from __future__ import annotations

from services.kit.errors import InvalidArgument

# 8192 x 8192: a quarter of a GiB once it is decoded to four bytes a pixel.
MAX_PIXELS = 64 * 1024 * 1024
MAX_FRAMES = 10_000
MAX_SECONDS = 2 * 3600
# What callers are told a preview may have.
MAX_PREVIEW_BYTES = 64 * 1024


def malformed(message: str) -> InvalidArgument:
    """Not built as its kind is."""
    return InvalidArgument("MEDIA_MALFORMED", message, field="data")


def too_large(message: str) -> InvalidArgument:
    """More than one file may take."""
    return InvalidArgument("MEDIA_TOO_LARGE", message, field="data")


def mismatch(message: str) -> InvalidArgument:
    """Well built, and not what it should be."""
    return InvalidArgument("MEDIA_KIND_MISMATCH", message, field="data")


def not_allowed(message: str) -> InvalidArgument:
    """Of a kind that is not taken."""
    return InvalidArgument("MEDIA_TYPE_NOT_ALLOWED", message, field="data")


def check_pixels(width: int, height: int) -> None:
    """Raise MEDIA_MALFORMED for a picture without pixels, MEDIA_TOO_LARGE for too many."""
    if width < 1 or height < 1:
        raise malformed("a picture without pixels")
    if width * height > MAX_PIXELS:
        raise too_large(f"a picture may have {MAX_PIXELS} pixels")


def check_seconds(seconds: float) -> None:
    """Raise MEDIA_TOO_LARGE when it lasts too long."""
    if not seconds <= MAX_SECONDS:
        raise too_large(f"it may last {MAX_SECONDS} seconds")
