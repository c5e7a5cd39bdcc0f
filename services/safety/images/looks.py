"""One decoded picture as the small ones that judges get; runs in a limited process.

A judge sees few pixels, so a picture that would lose what is in it is shown in several: what is
partly transparent before white and before black, because nobody knows what it will lie on; what is
long and narrow as a whole and in squares.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps

from services.kit.errors import InvalidArgument

MAX_PIXELS = 64 * 1024 * 1024
LONGEST_SIDE = 768
SQUARE_SIDE = 512
# A picture with longer sides than this is shown in squares as well, and a still longer one not at
# all: of its squares there would be too many.
WHOLE_RATIO = 2.0
MAX_RATIO = 16.0
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


def check_size(width: int, height: int) -> None:
    """Raise InvalidArgument MEDIA_MALFORMED or MEDIA_TOO_LARGE for sizes that are not decoded."""
    if width < 1 or height < 1:
        raise InvalidArgument("MEDIA_MALFORMED", "a picture without pixels", field="data")
    if width * height > MAX_PIXELS:
        raise InvalidArgument("MEDIA_TOO_LARGE", f"at most {MAX_PIXELS} pixels", field="data")
    if max(width, height) > MAX_RATIO * min(width, height) and max(width, height) > LONGEST_SIDE:
        raise InvalidArgument("MEDIA_TOO_LARGE", "too long and narrow to be checked", field="data")


def looks_at(picture: Image.Image) -> Iterator[Image.Image]:
    """Yield RGB pictures of at most 768 pixels a side that show all there is to see."""
    for flat in _flattened(_eight_bits(picture)):
        flat = ImageOps.exif_transpose(flat)
        whole = flat.copy()
        whole.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BICUBIC)
        yield whole
        yield from _squares(flat)


def _eight_bits(picture: Image.Image) -> Image.Image:
    # Pillow cuts these off at 255, and a picture of 16 bits would be seen as a white one.
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        values = np.asarray(picture, dtype=np.float64)
        most = 65_535.0 if picture.mode != "F" else max(float(values.max(initial=0.0)), 1.0)
        scaled = Image.fromarray(np.rint(np.clip(values * (255.0 / most), 0, 255)).astype(np.uint8))
        scaled.info = picture.info
        return scaled
    return picture


def _flattened(picture: Image.Image) -> Iterator[Image.Image]:
    if not picture.has_transparency_data:
        yield picture.convert("RGB")
        return
    layered = picture.convert("RGBA")
    seen_through = any(layered.getchannel("A").histogram()[:255])
    for background in (_WHITE, _BLACK) if seen_through else (_WHITE,):
        flat = Image.new("RGB", layered.size, background)
        flat.paste(layered, mask=layered.getchannel("A"))
        flat.info = picture.info
        yield flat


def _squares(picture: Image.Image) -> Iterator[Image.Image]:
    width, height = picture.size
    short, long = sorted((width, height))
    if long <= max(WHOLE_RATIO * short, LONGEST_SIDE):
        return
    # Each overlaps the next, so that nothing is seen only cut in two.
    count = math.ceil(long / short * 1.25)
    for number in range(count):
        start = round(number * (long - short) / (count - 1))
        box = (
            (start, 0, start + short, short) if width > height else (0, start, short, start + short)
        )
        square = picture.crop(box)
        square.thumbnail((SQUARE_SIDE, SQUARE_SIDE), Image.Resampling.BICUBIC)
        yield square
