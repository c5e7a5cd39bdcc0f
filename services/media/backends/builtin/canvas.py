"""The canvas: float32 RGB in 0..1, painted through antialiased masks."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from services.media.backends.builtin.geometry import Points, bounds
from services.media.backends.builtin.noise import Field, resize

Rgb = tuple[float, float, float]
Pixels = NDArray[np.float32]

# Above this many pixels a mask is drawn three times as large instead of four.
_LARGE_MASK_PIXELS = 300_000


def levels(image: Image.Image) -> Pixels:
    """The 8-bit levels of an image as numbers 0..1."""
    return np.asarray(image, dtype=np.float32) * np.float32(1 / 255)


@dataclass(frozen=True, slots=True)
class Mask:
    """Coverage 0..1 of a part of the canvas whose upper left pixel is (x, y)."""

    x: int
    y: int
    alpha: Field

    def blurred(self, radius: float) -> Mask:
        """The same, soft within its own frame."""
        if radius < 0.3:
            return self
        image = Image.fromarray((self.alpha * 255).astype(np.uint8))
        soft = image.filter(ImageFilter.GaussianBlur(radius))
        return Mask(self.x, self.y, levels(soft))


class Canvas:
    """A picture in work. Coordinates are pixels of the finished picture."""

    # Whether rain and snow are part of the picture, or fall in front of it.
    holds_weather = True

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.short = min(width, height)
        self.pixels: Pixels = np.ones((height, width, 3), dtype=np.float32)

    def rows(self) -> Field:
        """0 at the top to 1 at the bottom, shape (height, 1)."""
        return np.linspace(0, 1, self.height, dtype=np.float32)[:, None]

    def distance(self, x: float, y: float) -> Field:
        """Distance of every pixel to a point, in parts of the shorter side."""
        ys = (np.arange(self.height, dtype=np.float32)[:, None] - y) / self.short
        xs = (np.arange(self.width, dtype=np.float32)[None, :] - x) / self.short
        return np.sqrt(xs * xs + ys * ys)

    def mask(self, outlines: Sequence[Points], *, pad: float = 0.0) -> Mask | None:
        """What the outlines cover together, with `pad` pixels around; None if nothing."""
        outlines = [outline for outline in outlines if len(outline) >= 3]
        if not outlines:
            return None
        left, top, right, bottom = bounds(outlines)
        x0, y0 = max(0, int(left - pad) - 1), max(0, int(top - pad) - 1)
        x1 = min(self.width, int(right + pad) + 2)
        y1 = min(self.height, int(bottom + pad) + 2)
        if x1 <= x0 or y1 <= y0:
            return None
        w, h = x1 - x0, y1 - y0
        times = 4 if w * h < _LARGE_MASK_PIXELS else 3
        image = Image.new("L", (w * times, h * times))
        draw = ImageDraw.Draw(image)
        for outline in outlines:
            moved = (outline - (x0, y0)) * times
            # Far outside numbers would overflow inside the rasterizer.
            draw.polygon(np.clip(moved, -30_000, 30_000).ravel().tolist(), fill=255)
        alpha = levels(image.reduce(times))
        return Mask(x0, y0, alpha)

    def paint(
        self, mask: Mask | None, colour: Rgb | Pixels, opacity: float = 1.0, mode: str = "normal"
    ) -> None:
        """Lay a colour, or pixels of the mask's size, through a mask.

        Modes: normal, multiply, screen, difference.
        """
        if mask is None:
            return
        h, w = mask.alpha.shape
        part = self.pixels[mask.y : mask.y + h, mask.x : mask.x + w]
        alpha = (mask.alpha * np.float32(opacity))[..., None]
        ink = np.asarray(colour, dtype=np.float32)
        if mode == "multiply":
            target = part * ink
        elif mode == "screen":
            target = 1 - (1 - part) * (1 - ink)
        elif mode == "difference":
            target = np.abs(part - ink)
        else:
            target = ink
        part += (target - part) * alpha

    def fill(
        self,
        outlines: Sequence[Points] | Points,
        colour: Rgb | Pixels,
        opacity: float = 1.0,
        *,
        blur: float = 0.0,
        mode: str = "normal",
    ) -> None:
        """Mask and paint in one step; blur in pixels."""
        shapes = [outlines] if isinstance(outlines, np.ndarray) else outlines
        mask = self.mask(shapes, pad=blur * 2.5)
        if mask is not None and blur:
            mask = mask.blurred(blur)
        self.paint(mask, colour, opacity, mode)

    def glow(self, x: float, y: float, radius: float, colour: Rgb, strength: float) -> None:
        """Light that falls off from a point; radius in parts of the shorter side."""
        amount = np.exp(-((self.distance(x, y) / max(radius, 1e-3)) ** 2)) * np.float32(strength)
        self.pixels += (1 - self.pixels) * amount[..., None] * np.asarray(colour, np.float32)

    def vignette(self, strength: float, colour: Rgb = (0.0, 0.0, 0.0)) -> None:
        """Darken towards the corners."""
        ys = np.linspace(-1, 1, min(self.height, 128), dtype=np.float32)[:, None] * self.height
        xs = np.linspace(-1, 1, min(self.width, 128), dtype=np.float32)[None, :] * self.width
        far = np.sqrt(ys * ys + xs * xs) / np.float32(np.hypot(self.width, self.height))
        small = np.square(np.clip(far - np.float32(0.35), 0, 1)) * np.float32(strength)
        amount = resize(small, self.height, self.width)[..., None]
        dark = np.asarray(colour, np.float32)
        self.pixels *= 1 - amount
        self.pixels += dark * amount

    def texture(self, field: Field, strength: float) -> None:
        """Lighten and darken by a field around zero."""
        self.pixels += (field * np.float32(strength))[..., None]

    def image(self) -> Image.Image:
        """The picture as it stands, 8 bits a channel."""
        return Image.fromarray((np.clip(self.pixels, 0, 1) * 255 + 0.5).astype(np.uint8))

    def paste(self, image: Image.Image) -> None:
        """Replace everything by an RGB image, enlarged or shrunk to fit."""
        if image.size != (self.width, self.height):
            image = image.resize((self.width, self.height), Image.Resampling.LANCZOS)
        self.pixels = levels(image.convert("RGB"))

    def png(self) -> bytes:
        """The finished file, without any metadata."""
        out = io.BytesIO()
        self.image().save(out, "PNG", compress_level=2)
        return out.getvalue()
