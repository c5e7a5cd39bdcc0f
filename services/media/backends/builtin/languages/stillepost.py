"""Stille Post: the same picture passed on eight times, each copy made from the copy before."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from services.media.backends.builtin.canvas import Canvas, Pixels, Rgb, levels
from services.media.backends.builtin.geometry import place, rectangle
from services.media.backends.builtin.languages import landscape
from services.media.backends.builtin.noise import Random, fbm, resize, shift
from services.media.backends.builtin.palette import oklch
from services.media.backends.builtin.prints import drop_shadow, halftone, paper
from services.media.backends.builtin.words import Scene

COPIES = 8
SOURCE_SIDE = 544


def draw(canvas: Canvas, scene: Scene, random: Random) -> None:
    """Lay eight sheets over each other, from the first hearing to the last."""
    copies = _chain(_first(canvas, scene, random), random)
    paper(canvas, random, oklch(0.9, 0.02, 90), roughness=0.03)
    wide = canvas.width > canvas.height * 0.8
    drift = float(random.choice([-1, 1]))
    for index, copy in enumerate(copies):
        _lay(canvas, random, copy, index, drift, upright=wide)
    canvas.vignette(0.2)


def _first(canvas: Canvas, scene: Scene, random: Random) -> Image.Image:
    scale = min(1.0, SOURCE_SIDE / max(canvas.width, canvas.height))
    source = Canvas(max(64, round(canvas.width * scale)), max(64, round(canvas.height * scale)))
    landscape.draw(source, scene, random)
    return source.image()


def _chain(image: Image.Image, random: Random) -> list[Image.Image]:
    """Copy k is a copy of copy k - 1, a little worse."""
    found = [image]
    for step in range(1, COPIES):
        found.append(_copy(found[-1], step, random))
    return found


def _copy(image: Image.Image, step: int, random: Random) -> Image.Image:
    w, h = image.size
    # Out of focus and too hard, as on a tired machine.
    soft = image.filter(ImageFilter.GaussianBlur(0.5 + step * 0.16))
    hard = ImageEnhance.Contrast(soft).enhance(1.14)
    tired = ImageEnhance.Color(hard).enhance(0.9)
    pixels: Pixels = levels(tired)
    # What was misheard: parts slide away.
    small_h, small_w = max(8, h // 4), max(8, w // 4)
    reach = np.float32(min(h, w) * (0.012 + 0.011 * step))
    dx = (resize(fbm(random, small_h, small_w, 2.5, 2), h, w) - 0.5) * reach
    dy = (resize(fbm(random, small_h, small_w, 2.5, 2), h, w) - 0.5) * reach
    pixels = shift(pixels, dx, dy)
    if step % 2 == 0:
        bands = np.repeat(random.normal(0, 1, h // 7 + 1), 7)[:h].astype(np.float32)
        slip = np.where(np.abs(bands) > 1.25, bands * min(h, w) * 0.014 * step / 2, 0)
        pixels = shift(pixels, slip[:, None].astype(np.float32), np.zeros((h, 1), np.float32))
    tint = np.asarray(_tint(step, random), dtype=np.float32)
    pixels *= np.float32(1 - 0.1 * step / COPIES)
    pixels += tint * np.float32(0.13)
    pixels += random.standard_normal((h, w, 1), dtype=np.float32) * np.float32(0.012 * step)
    image = Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    if step in (3, 5, 6, 7):
        image = ImageOps.posterize(image, {3: 5, 5: 3, 6: 3, 7: 2}[step])
    return image


def _tint(step: int, random: Random) -> Rgb:
    return oklch(0.6, 0.16, step * 55 + float(random.uniform(0, 60)))


def _lay(
    canvas: Canvas, random: Random, copy: Image.Image, index: int, drift: float, *, upright: bool
) -> None:
    """Put one strip of a copy down, a little lower and more askew than the one before."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    along, across = (w, h) if upright else (h, w)
    margin = 0.035 * unit
    step = (along - 2 * margin) / COPIES
    at = margin + index * step
    fall = drift * unit * 0.011 * (index - 3.5) + unit * float(random.uniform(-0.006, 0.006))
    angle = float(random.normal(0, 0.0035 * index))
    long = across - 2 * margin - unit * 0.075
    sheet = rectangle(-unit * 0.012, -long / 2, step + unit * 0.012, long / 2)
    if not upright:
        sheet = sheet[:, ::-1]
    x, y = (at, h / 2 + fall) if upright else (w / 2 + fall, at)
    outline = place(sheet, x, y, 1, angle)
    drop_shadow(canvas, outline, unit * 0.005, 0.4)
    canvas.fill(outline, oklch(0.95 - 0.008 * index, 0.012 + 0.002 * index, 85))
    inner = rectangle(0, -long / 2 + unit * 0.012, step, long / 2 - unit * 0.012)
    if not upright:
        inner = inner[:, ::-1]
    mask = canvas.mask([place(inner, x, y, 1, angle)])
    if mask is None:
        return
    full = levels(copy.resize((w, h), Image.Resampling.BICUBIC))
    mh, mw = mask.alpha.shape
    x0, y0 = mask.x, int(np.clip(mask.y - fall if upright else mask.y, 0, max(0, h - mh)))
    part = full[y0 : y0 + mh, x0 : x0 + mw]
    if part.shape[:2] != (mh, mw):
        part = full[mask.y : mask.y + mh, mask.x : mask.x + mw]
    canvas.paint(mask, _printed(part, index, unit))


def _printed(part: Pixels, index: int, unit: int) -> Pixels:
    """Later copies show the raster of the machine."""
    if index < 2:
        return part
    grey = part.mean(axis=2)
    dots = halftone(1 - grey, max(2.5, unit * (0.0035 + 0.0012 * index)), 15 + index * 9)
    strength = np.float32(min(0.85, 0.1 * index))
    ink = np.asarray(oklch(0.3, 0.09, 40 * index), dtype=np.float32)
    light = part * np.float32(0.55) + np.float32(0.45)
    screened = light + (ink - light) * dots[..., None]
    return np.asarray(part + (screened - part) * strength, dtype=np.float32)
