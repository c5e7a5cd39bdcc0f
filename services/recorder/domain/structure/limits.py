"""What a file may claim, and how it is said that it claims more. Pure."""

from __future__ import annotations

from services.kit.errors import InvalidArgument

# 8192 x 8192: a quarter of a GiB once it is decoded to four bytes a pixel.
MAX_PIXELS = 64 * 1024 * 1024
# JPEG's and GIF's own limit, and more than any model makes.
MAX_SIDE_PIXELS = 65_535
# Of a video as WebP or GIF; 10 minutes at 16 pictures a second. An image is one picture: more
# would be shown to people and not to a check that looks at the first.
MAX_PICTURES = 10_000
MAX_SECONDS = 2 * 3600
# One sound is one stream, or a few with a cover and titles.
MAX_OGG_STREAMS = 8


def malformed(why: str) -> InvalidArgument:
    """What is said of bytes that are not built as their format asks."""
    return InvalidArgument("MEDIA_MALFORMED", why, field="data")


def too_large(why: str) -> InvalidArgument:
    """What is said of bytes that claim too much."""
    return InvalidArgument("MEDIA_TOO_LARGE", why, field="data")


def check_size(width: int, height: int) -> None:
    """Raise MEDIA_MALFORMED for a picture without pixels, MEDIA_TOO_LARGE for too many."""
    if not width or not height:
        raise malformed("a picture without pixels")
    if max(width, height) > MAX_SIDE_PIXELS or width * height > MAX_PIXELS:
        raise too_large(f"a picture may have {MAX_PIXELS} pixels")


def check_pictures(count: int, most: int) -> None:
    """Raise MEDIA_MALFORMED when an image moves, MEDIA_TOO_LARGE when a video has too many."""
    if count > most:
        if most == 1:
            raise malformed("an image is one picture, this has more")
        raise too_large(f"at most {most} pictures")


def check_seconds(seconds: float) -> None:
    """Raise MEDIA_TOO_LARGE when it lasts too long."""
    if seconds > MAX_SECONDS:
        raise too_large(f"it may last {MAX_SECONDS} seconds")
