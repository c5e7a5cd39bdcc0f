"""Houses, cities, vehicles and things."""

from __future__ import annotations

import math

import numpy as np

from services.media.backends.builtin.geometry import (
    circle,
    curve,
    ellipse,
    polygon,
    rectangle,
    sector,
    smooth,
)
from services.media.backends.builtin.motifs.shape import Motif, Shape
from services.media.backends.builtin.noise import Random


def mountain(random: Random) -> Motif:
    """Two peaks with snow."""
    return Motif("mountain", "ground", (
        Shape.of("second", polygon((-0.1, 0), (0.42, -0.72), (0.95, 0))),
        Shape.of("light", polygon((0.42, -0.72), (0.3, -0.55), (0.4, -0.58), (0.47, -0.52),
                                  (0.55, -0.54))),
        Shape.of("main", polygon((-0.9, 0), (-0.2, -1), (0.5, 0))),
        Shape.of("dark", polygon((-0.2, -1), (0.5, 0), (-0.05, 0), (-0.14, -0.5))),
        Shape.of("light", polygon((-0.2, -1), (-0.38, -0.74), (-0.26, -0.78), (-0.17, -0.69),
                                  (-0.1, -0.78), (-0.02, -0.74))),
    ), 2.6, "grey")  # fmt: skip


def house(random: Random) -> Motif:
    """Walls, a roof, a door and lit windows."""
    return Motif("house", "ground", (
        Shape.of("dark", rectangle(0.2, -0.98, 0.31, -0.7)),
        Shape.of("main", rectangle(-0.42, -0.55, 0.42, 0)),
        Shape.of("second", polygon((-0.54, -0.52), (0, -1), (0.54, -0.52))),
        Shape.of("dark", rectangle(-0.09, -0.32, 0.09, 0)),
        Shape.of("glow", rectangle(-0.33, -0.42, -0.17, -0.24), rectangle(0.17, -0.42, 0.33, -0.24),
                 circle(0, -0.7, 0.07)),
        Shape.of("dark", rectangle(-0.255, -0.42, -0.245, -0.24), rectangle(0.245, -0.42, 0.255,
        -0.24),
                 rectangle(-0.33, -0.335, -0.17, -0.325), rectangle(0.17, -0.335, 0.33, -0.325)),
    ), 1.5)  # fmt: skip


def castle(random: Random) -> Motif:
    """Two towers and a gate."""
    shapes = [Shape.of("second", rectangle(-0.35, -0.45, 0.35, 0))]
    battlements = tuple(rectangle(x, -0.51, x + 0.06, -0.44) for x in np.arange(-0.3, 0.3, 0.12))
    shapes.append(Shape("second", battlements))
    for side in (-0.42, 0.42):
        shapes.append(Shape.of("main", rectangle(side - 0.13, -0.7, side + 0.13, 0)))
        shapes.append(
            Shape.of("accent", polygon((side - 0.18, -0.7), (side, -1), (side + 0.18, -0.7)))
        )
        shapes.append(Shape.of("dark", rectangle(side - 0.03, -0.58, side + 0.03, -0.44)))
    gate = (sector(0, -0.18, 0.12, -math.pi, 0), rectangle(-0.12, -0.19, 0.12, 0))
    shapes.append(Shape("dark", gate))
    return Motif("castle", "ground", tuple(shapes), 2.4, "grey")


def city(random: Random) -> Motif:
    """A row of towers with lit windows."""
    walls, windows = [], []
    x = -0.75
    while x < 0.72:
        wide = float(random.uniform(0.13, 0.24))
        high = float(random.uniform(0.45, 1.0)) * (1 - 0.35 * abs(x + wide / 2))
        walls.append(rectangle(x, -high, x + wide, 0))
        for wx in np.arange(x + 0.03, x + wide - 0.035, 0.05):
            for wy in np.arange(-high + 0.05, -0.05, 0.07):
                if random.random() < 0.6:
                    windows.append(rectangle(wx, wy, wx + 0.025, wy + 0.035))
        x += wide + float(random.uniform(-0.02, 0.03))
    return Motif("city", "ground", (
        Shape("main", tuple(walls[::2])), Shape("second", tuple(walls[1::2])),
        Shape("glow", tuple(windows)),
    ), 2.6)  # fmt: skip


def boat(random: Random) -> Motif:
    """A sailing boat."""
    return Motif("boat", "water", (
        Shape.of("stem", rectangle(-0.012, -1, 0.012, -0.15)),
        Shape.of("light", smooth([(0.03, -0.96), (0.3, -0.55), (0.38, -0.24), (0.03, -0.24)])),
        Shape.of("second", polygon((-0.03, -0.9), (-0.03, -0.24), (-0.32, -0.24))),
        Shape.of("main", polygon((-0.46, -0.18), (0.5, -0.18), (0.36, 0.03), (-0.3, 0.03))),
        Shape.of("accent", polygon((-0.45, -0.16), (0.49, -0.16), (0.465, -0.115), (-0.41,
        -0.115))),
    ), 1.3)  # fmt: skip


def car(random: Random) -> Motif:
    """A small car from the side."""
    cabin = smooth([(-0.45, -0.5), (-0.3, -0.85), (0.05, -0.97), (0.35, -0.82), (0.55, -0.5)])
    wheels = [(-0.48, -0.2), (0.5, -0.2)]
    return Motif("car", "ground", (
        Shape.of("second", cabin),
        Shape.of("light", polygon((-0.32, -0.52), (-0.22, -0.78), (0.0, -0.86), (0.0, -0.52)),
                 polygon((0.07, -0.52), (0.07, -0.86), (0.27, -0.75), (0.4, -0.52))),
        Shape.of("main", smooth([(-0.85, -0.25), (-0.84, -0.5), (-0.5, -0.58), (0.5, -0.56),
                                 (0.84, -0.44),
                                 (0.9, -0.25), (0.8, -0.18), (-0.8, -0.18)])),
        Shape("dark", tuple(circle(x, y, 0.19) for x, y in wheels)),
        Shape("light", tuple(circle(x, y, 0.08) for x, y in wheels)),
        Shape.of("glow", circle(0.83, -0.38, 0.05)),
    ), 0.75, "red")  # fmt: skip


def clock(random: Random) -> Motif:
    """A round clock; the hands are where chance puts them."""
    hour, minute = random.uniform(0, 2 * math.pi, 2)
    marks = tuple(circle(0.37 * math.cos(a), 0.37 * math.sin(a), 0.022, 12)
                  for a in np.arange(12) * math.pi / 6)  # fmt: skip
    return Motif("clock", "air", (
        Shape.of("main", circle(0, 0, 0.5)), Shape.of("light", circle(0, 0, 0.43)),
        Shape("dark", (*marks,
              curve([(0, 0), (0.22 * math.cos(hour), 0.22 * math.sin(hour))], 0.05, 0.03),
              curve([(0, 0), (0.34 * math.cos(minute), 0.34 * math.sin(minute))], 0.035, 0.02))),
        Shape.of("accent", circle(0, 0, 0.04)),
    ), 0.9)  # fmt: skip


def book(random: Random) -> Motif:
    """An open book."""
    lines = tuple(
        polygon((s * 0.12, y), (s * 0.52, y - 0.06), (s * 0.52, y - 0.035), (s * 0.12, y + 0.025))
        for s in (-1, 1)
        for y in np.arange(-0.44, -0.1, 0.1)
    )
    page = [(0, -0.12), (0.1, -0.6), (0.62, -0.68), (0.62, -0.16)]
    page[1] = (0, -0.58)
    return Motif("book", "ground", (
        Shape.of("main", polygon((-0.68, -0.66), (0, -0.54), (0.68, -0.66), (0.68, -0.08), (0,
        0.02),
                                 (-0.68, -0.08))),
        Shape.of("light", polygon(*page), polygon(*[(-x, y) for x, y in page])),
        Shape("dark", lines),
    ), 0.5)  # fmt: skip


def stone(random: Random) -> Motif:
    """A boulder in three facets."""
    push = random.uniform(-0.06, 0.06, 4)
    left, peak = (-0.42 + push[0], -0.42), (-0.1 + push[1], -0.66)
    right, edge = (0.33 + push[2], -0.5), (0.05 + push[3], -0.36)
    foot = [(0.58, -0.12), (0.5, 0.01), (0.02, 0.01), (-0.5, 0.01), (-0.58, -0.14)]
    return Motif("stone", "ground", (
        Shape.of("main", polygon(left, peak, right, *foot)),
        Shape.of("second", polygon(edge, right, foot[0], foot[1], foot[2])),
        Shape.of("light", polygon(left, peak, right, edge)),
    ), 0.45, "grey")  # fmt: skip


def umbrella(random: Random) -> Motif:
    """An open umbrella."""
    dome = sector(0, -0.55, 0.45, -math.pi, 0)
    ribs = (ellipse(0, -0.55, 0.15, 0.45),)
    return Motif("umbrella", "ground", (
        Shape.of("dark", curve([(0, -1), (0, -0.1), (0.05, -0.02), (0.12, -0.03), (0.14, -0.1)],
                               0.025, 0.03)),
        Shape.of("main", dome),
        Shape("second", tuple(np.minimum(rib, np.array([[9.0, -0.55]])) for rib in ribs)),
    ), 1.0)  # fmt: skip
