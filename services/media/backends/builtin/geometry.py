"""Outlines as arrays of points, shape (n, 2), x to the right and y down. Pure numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def polygon(*points: tuple[float, float]) -> Points:
    """The outline through these points."""
    return np.array(points, dtype=np.float64)


def ellipse(
    cx: float, cy: float, rx: float, ry: float, angle: float = 0.0, steps: int = 48
) -> Points:
    """An ellipse, turned by angle in radians."""
    t = np.linspace(0.0, 2 * math.pi, steps, endpoint=False)
    x, y = rx * np.cos(t), ry * np.sin(t)
    c, s = math.cos(angle), math.sin(angle)
    return np.stack([cx + x * c - y * s, cy + x * s + y * c], axis=1)


def circle(cx: float, cy: float, r: float, steps: int = 64) -> Points:
    """A circle."""
    return ellipse(cx, cy, r, r, steps=steps)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Points:
    """An upright rectangle."""
    return polygon((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def sector(cx: float, cy: float, r: float, start: float, end: float, steps: int = 40) -> Points:
    """A slice of a circle between two angles in radians; half and quarter circles too."""
    t = np.linspace(start, end, steps)
    arc = np.stack([cx + r * np.cos(t), cy + r * np.sin(t)], axis=1)
    return arc if abs(end - start - math.pi) < 1e-9 else np.vstack([arc, [[cx, cy]]])


def arc_band(
    cx: float, cy: float, r: float, width: float, start: float, end: float, steps: int = 64
) -> Points:
    """A piece of a ring; width is its thickness, inwards from r."""
    t = np.linspace(start, end, steps)
    outer = np.stack([cx + r * np.cos(t), cy + r * np.sin(t)], axis=1)
    inner = np.stack([cx + (r - width) * np.cos(t), cy + (r - width) * np.sin(t)], axis=1)
    return np.vstack([outer, inner[::-1]])


def star(
    cx: float, cy: float, outer: float, inner: float, points: int, turn: float = 0.0
) -> Points:
    """A star with this many points."""
    t = np.arange(points * 2) * math.pi / points - math.pi / 2 + turn
    r = np.where(np.arange(points * 2) % 2 == 0, outer, inner)
    return np.stack([cx + r * np.cos(t), cy + r * np.sin(t)], axis=1)


def smooth(points: Sequence[tuple[float, float]] | Points, *, closed: bool = True) -> Points:
    """A soft curve through the points (Catmull-Rom, eight steps between two of them)."""
    p = np.asarray(points, dtype=np.float64)
    if closed:
        p0, p1, p2, p3 = np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)
    else:
        padded = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
        p0, p1, p2, p3 = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(8) / 8)[None, :, None]
    a, b, c, d = (q[:, None, :] for q in (p0, p1, p2, p3))
    curve = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    flat = curve.reshape(-1, 2)
    return flat if closed else np.vstack([flat, p[-1:]])


def stroke(
    path: Sequence[tuple[float, float]] | Points,
    start: float | NDArray[np.float64],
    end: float | None = None,
) -> Points:
    """The outline of a line whose width goes from start to end, or is given at each point."""
    p = np.asarray(path, dtype=np.float64)
    direction = np.gradient(p, axis=0)
    length = np.maximum(np.hypot(direction[:, 0], direction[:, 1]), 1e-9)[:, None]
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1) / length
    widths = start if isinstance(start, np.ndarray) else np.linspace(start, end or 0.0, len(p))
    half = widths[:, None] / 2
    return np.vstack([p + normal * half, (p - normal * half)[::-1]])


def curve(path: Sequence[tuple[float, float]], start: float, end: float) -> Points:
    """A soft line through the points whose width goes from start to end."""
    return stroke(smooth(path, closed=False), start, end)


def place(
    points: Points, x: float, y: float, size: float, angle: float = 0.0, *, mirror: bool = False
) -> Points:
    """Move unit coordinates to a place: scaled by size, turned by angle, mirrored if asked."""
    p = points * np.array([-size if mirror else size, size])
    c, s = math.cos(angle), math.sin(angle)
    return np.stack([x + p[:, 0] * c - p[:, 1] * s, y + p[:, 0] * s + p[:, 1] * c], axis=1)


def bounds(outlines: Sequence[Points]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of all of them."""
    every = np.vstack(list(outlines))
    low, high = every.min(axis=0), every.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
