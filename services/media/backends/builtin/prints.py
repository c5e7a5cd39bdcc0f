"""What printing does to pictures: halftone dots, paper, torn edges."""

from __future__ import annotations

import math

import numpy as np

from services.media.backends.builtin.canvas import Canvas, Mask, Rgb
from services.media.backends.builtin.geometry import Points
from services.media.backends.builtin.noise import Field, Random, fbm, grain


def halftone(tone: Field, cell: float, degrees: float = 22.0) -> Field:
    """Coverage of dots that grow with the tone (0..1); cell is their distance in pixels."""
    h, w = tone.shape
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    cell = max(cell, 2.0)
    ys = np.arange(h, dtype=np.float32)[:, None]
    xs = np.arange(w, dtype=np.float32)[None, :]
    u = (xs * c + ys * s) / cell
    v = (ys * c - xs * s) / cell
    du, dv = u - np.floor(u) - 0.5, v - np.floor(v) - 0.5
    far = np.sqrt(du * du + dv * dv) * cell
    radius = np.sqrt(np.clip(tone, 0, 1) / np.float32(math.pi)) * np.float32(cell * 1.12)
    covered: Field = np.clip(radius - far + np.float32(0.5), 0, 1)
    return covered


def paper(canvas: Canvas, random: Random, colour: Rgb, *, roughness: float = 0.02) -> None:
    """Cover everything with paper: tone, fibres and tooth."""
    h, w = canvas.height, canvas.width
    canvas.pixels[:] = np.asarray(colour, dtype=np.float32)
    canvas.texture(fbm(random, h, w, 3, 5) - 0.5, roughness * 2.2)
    canvas.texture(grain(random, h, w), roughness * 0.55)


def torn(outline: Points, random: Random, amount: float, pieces: int = 14) -> Points:
    """The outline with edges as if torn by hand; amount in pixels."""
    after = np.roll(outline, -1, axis=0)
    t = np.linspace(0, 1, pieces, endpoint=False)[None, :, None]
    dense = (outline[:, None, :] * (1 - t) + after[:, None, :] * t).reshape(-1, 2)
    noise = random.normal(0, 1, dense.shape)
    rough = noise + np.roll(noise, 1, axis=0) + 0.6 * random.normal(0, 1, dense.shape)
    result: Points = dense + rough * amount * 0.5
    return result


def drop_shadow(canvas: Canvas, outline: Points, offset: float, strength: float = 0.35) -> None:
    """The shadow of a scrap of paper."""
    canvas.fill(
        outline + np.array([offset, offset * 1.3]),
        (0.1, 0.07, 0.05),
        strength,
        blur=max(0.5, offset),
    )


def stamp(
    canvas: Canvas, ink: Field, x: float, y: float, colour: Rgb, opacity: float = 1.0,
    mode: str = "normal",
) -> None:  # fmt: skip
    """Lay an ink mask with its centre at (x, y), cut at the canvas's edges."""
    h, w = ink.shape
    left, top = round(x - w / 2), round(y - h / 2)
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(canvas.width, left + w), min(canvas.height, top + h)
    if x1 > x0 and y1 > y0:
        part = ink[y0 - top : y1 - top, x0 - left : x1 - left]
        canvas.paint(Mask(x0, y0, part), colour, opacity, mode)
