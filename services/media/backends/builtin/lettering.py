"""Letters without a system font: Pillow's own font, and drawn signs where it has none."""

from __future__ import annotations

import math
import unicodedata
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from services.media.backends.builtin.canvas import levels
from services.media.backends.builtin.geometry import Points, place, smooth, stroke
from services.media.backends.builtin.noise import Field

_DOTS = "\u0308"
MAX_CHARACTERS = 24


def letters(text: str, size: float, *, weight: float = 0.0) -> Field:
    """Return the coverage 0..1 of one line of text, cropped to its ink.

    Size is the height of the type in pixels, weight thickens by parts of it. The bundled font
    knows ASCII only: umlauts get their dots, other accents are left out, and signs of other scripts
    become invented brush marks, always the same for the same sign.
    """
    size = max(6.0, min(size, 1400.0))
    cells = [_cell(sign, round(size), weight) for sign in text[:MAX_CHARACTERS]]
    cells = [cell for cell in cells if cell.size] or [np.zeros((1, 1), np.float32)]
    height = max(cell.shape[0] for cell in cells)
    rows = [np.pad(cell, ((height - cell.shape[0], 0), (0, 0))) for cell in cells]
    return np.concatenate(rows, axis=1)


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("this Pillow was built without FreeType")
    return font


def _cell(sign: str, size: int, weight: float) -> Field:
    if sign.isspace():
        return np.zeros((1, max(1, size // 3)), np.float32)
    decomposed = unicodedata.normalize("NFD", {"ß": "s", "ẞ": "S"}.get(sign, sign))
    base, marks = decomposed[0], decomposed[1:]
    if not base.isascii() or not base.isprintable():
        return _brush(sign, size)
    font = _font(size)
    bold = round(size * weight)
    left, _, right, _ = font.getbbox(base, stroke_width=bold)
    wide = max(1, math.ceil(right - min(0, left)) + size // 20)
    image = Image.new("L", (wide, round(size * 1.35)))
    draw = ImageDraw.Draw(image)
    draw.text((-min(0, left), size * 0.2), base, fill=255, font=font, stroke_width=bold)
    if _DOTS in marks:
        top = size * (0.12 if base.isupper() else 0.3)
        r = size * (0.065 + weight * 0.6)
        for x in (wide * 0.32, wide * 0.66):
            draw.ellipse((x - r, top - r, x + r, top + r), fill=255)
    return levels(image)


def _brush(sign: str, size: int) -> Field:
    """Strokes in a square, drawn from the number of the sign."""
    random = np.random.default_rng(ord(sign[0]))
    outlines: list[Points] = []
    for _ in range(int(random.integers(4, 8))):
        kind, x, y = random.random(), *random.uniform(0.15, 0.6, 2)
        length = float(random.uniform(0.25, 0.55))
        angle = (
            0.0 if kind < 0.4 else math.pi / 2 if kind < 0.75 else float(random.uniform(0.5, 2.4))
        )
        bend = float(random.uniform(-0.06, 0.06))
        path = smooth([(0, 0), (length / 2, bend), (length, 0)], closed=False)
        outlines.append(place(stroke(path, 0.09, 0.05), float(x), float(y), 1, angle))
    image = Image.new("L", (size * 2, round(size * 1.35) * 2))
    draw = ImageDraw.Draw(image)
    for outline in outlines:
        points = (outline + np.array([0, 0.2])) * (size * 2)
        draw.polygon(points.ravel().tolist(), fill=255)
    return levels(image.reduce(2))


def turned(ink: Field, degrees: float) -> Field:
    """The same ink, rotated, in a frame that holds it."""
    image = Image.fromarray((ink * 255).astype(np.uint8))
    rotated = image.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    return levels(rotated)
