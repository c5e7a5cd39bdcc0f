"""Flowers, trees and what grows."""

from __future__ import annotations

import math

import numpy as np

from services.media.backends.builtin.geometry import (
    Points,
    circle,
    curve,
    ellipse,
    polygon,
    rectangle,
    smooth,
)
from services.media.backends.builtin.motifs.shape import Motif, Shape
from services.media.backends.builtin.noise import Random


def _leaf(x: float, y: float, length: float, angle: float) -> Points:
    leaf = smooth([(0, 0), (0.35, -0.17), (0.75, -0.13), (1, 0), (0.7, 0.1), (0.3, 0.1)])
    c, s = math.cos(angle) * length, math.sin(angle) * length
    return np.stack([x + leaf[:, 0] * c - leaf[:, 1] * s, y + leaf[:, 0] * s + leaf[:, 1] * c], 1)


def _stalk(random: Random, top: float) -> tuple[float, list[Shape]]:
    lean = float(random.uniform(-0.06, 0.06))
    stem = curve(
        [(0, 0.02), (-lean, top * 0.4), (lean * 0.3, top * 0.75), (lean, top)], 0.032, 0.02
    )
    side = 1 if lean > 0 else -1
    leaves = (
        _leaf(-lean * 0.5, top * 0.2, 0.26, -0.7 if side > 0 else math.pi + 0.7),
        _leaf(-lean * 0.8, top * 0.38, 0.22, math.pi + 0.6 if side > 0 else -0.6),
    )
    return lean, [Shape.of("stem", stem), Shape("leaf", leaves)]


def _petals(x: float, y: float, count: int, inner: float, length: float, width: float,
            turn: float) -> tuple[Points, ...]:  # fmt: skip
    found = []
    for index in range(count):
        angle = turn + index * 2 * math.pi / count
        reach = inner + length / 2
        found.append(ellipse(x + reach * math.cos(angle), y + reach * math.sin(angle),
                             length / 2, width / 2, angle))  # fmt: skip
    return tuple(found)


def flower(random: Random) -> Motif:
    """An open blossom with round petals, a stem and two leaves."""
    lean, shapes = _stalk(random, -0.72)
    count = int(random.integers(7, 11))
    turn = float(random.uniform(0, 1))
    wide = 1.05 * 2 * math.pi * 0.16 / count
    back = _petals(lean, -0.74, count, 0.04, 0.21, wide, turn + math.pi / count)
    front = _petals(lean, -0.74, count, 0.03, 0.19, wide * 0.9, turn)
    shapes += [Shape("second", back)]
    shapes += [Shape.of("main", petal) for petal in front]
    shapes += [Shape.of("accent", circle(lean, -0.74, 0.075))]
    dots = [circle(lean + 0.045 * math.cos(a), -0.74 + 0.045 * math.sin(a), 0.011, 12)
            for a in np.arange(7) * 0.9]  # fmt: skip
    shapes += [Shape("dark", tuple(dots))]
    return Motif("flower", "ground", tuple(shapes), 0.75)


def sunflower(random: Random) -> Motif:
    """Many pointed petals around a dark disc."""
    lean, shapes = _stalk(random, -0.7)
    shapes += [Shape("second", _petals(lean, -0.72, 18, 0.1, 0.16, 0.06, 0.17))]
    shapes += [Shape("main", _petals(lean, -0.72, 18, 0.09, 0.16, 0.055, 0))]
    shapes += [Shape.of("dark", circle(lean, -0.72, 0.13))]
    seeds = []
    for index in range(60):
        r, a = 0.115 * math.sqrt(index / 60), index * 2.39996
        seeds.append(circle(lean + r * math.cos(a), -0.72 + r * math.sin(a), 0.007, 8))
    shapes += [Shape("accent", tuple(seeds))]
    return Motif("sunflower", "ground", tuple(shapes), 1.0, "yellow")


def rose(random: Random) -> Motif:
    """A full blossom of overlapping petals."""
    lean, shapes = _stalk(random, -0.74)
    for ring, (radius, count) in enumerate([(0.14, 6), (0.09, 5), (0.045, 4)]):
        petals = tuple(
            circle(lean + radius * 0.75 * math.cos(a), -0.78 + radius * 0.7 * math.sin(a),
                   radius * 0.8, 32)
            for a in np.arange(count) * 2 * math.pi / count + ring * 0.5
        )  # fmt: skip
        shapes += [Shape.of("main" if ring % 2 == 0 else "second", petal) for petal in petals]
    spiral = [
        (lean + 0.008 * i * math.cos(i), -0.78 + 0.008 * i * math.sin(i)) for i in range(1, 9)
    ]
    shapes += [Shape.of("dark", curve(spiral, 0.01, 0.014))]
    return Motif("rose", "ground", tuple(shapes), 0.7, "red")


def tulip(random: Random) -> Motif:
    """A cup of three petals on a straight stem."""
    lean, shapes = _stalk(random, -0.66)
    x = lean
    side = [(0, -0.64), (-0.12, -0.7), (-0.13, -0.85), (-0.09, -0.98), (-0.03, -0.86), (0, -0.75)]
    shapes += [
        Shape.of("second", smooth([(x + a, b) for a, b in side])),
        Shape.of("second", smooth([(x - a, b) for a, b in side])),
        Shape.of("main", smooth([(x, -0.63), (x - 0.08, -0.74), (x, -0.97), (x + 0.08, -0.74)])),
    ]
    return Motif("tulip", "ground", tuple(shapes), 0.65)


def tree(random: Random) -> Motif:
    """A trunk that forks and a crown of leaves."""
    lean = float(random.uniform(-0.05, 0.05))
    shapes = [
        Shape.of(
            "stem",
            curve([(0, 0.01), (lean * 0.4, -0.2), (lean, -0.55)], 0.11, 0.045),
            curve([(lean * 0.5, -0.3), (-0.12, -0.48), (-0.17, -0.6)], 0.045, 0.015),
            curve([(lean * 0.5, -0.34), (0.1, -0.47), (0.19, -0.58)], 0.045, 0.015),
            polygon((-0.1, 0.01), (-0.03, -0.08), (0.03, -0.08), (0.1, 0.01)),
        )
    ]
    centres = [(-0.22, -0.55, 0.15), (0.22, -0.56, 0.15), (-0.12, -0.75, 0.18), (0.14, -0.74, 0.17),
               (0.0, -0.6, 0.19), (0.01, -0.86, 0.14)]  # fmt: skip
    under, over = [], []
    for cx, cy, r in centres:
        dx, dy = random.uniform(-0.03, 0.03, 2)
        under.append(_bush(random, cx + dx, cy + dy, r))
        over.append(_bush(random, cx + dx - r * 0.22, cy + dy - r * 0.25, r * 0.62))
    shapes += [Shape("leaf", tuple(under)), Shape("main", tuple(over))]
    fruit = [circle(float(random.uniform(-0.24, 0.24)), float(random.uniform(-0.86, -0.52)),
                    0.016, 16)
             for _ in range(int(random.integers(0, 12)))]  # fmt: skip
    if len(fruit) > 5:
        shapes += [Shape("accent", tuple(fruit))]
    return Motif("tree", "ground", tuple(shapes), 2.0, "green")


def _bush(random: Random, cx: float, cy: float, r: float) -> Points:
    angles = np.arange(14) * 2 * math.pi / 14
    radii = r * (0.9 + 0.18 * random.random(14))
    return smooth(np.stack([cx + radii * np.cos(angles), cy + radii * np.sin(angles)], axis=1))


def conifer(random: Random) -> Motif:
    """A fir in tiers."""
    shapes = [Shape.of("stem", rectangle(-0.035, -0.16, 0.035, 0.01))]
    for tier in range(4):
        low, wide = -0.12 - tier * 0.2, 0.27 - tier * 0.055
        top = low - 0.32
        shapes.append(
            Shape.of("leaf", polygon((-wide, low), (0, top), (wide, low), (0, low - 0.05)))
        )
        shapes.append(Shape.of("main", polygon((-wide, low), (0, top), (-0.01, low - 0.06))))
    return Motif("conifer", "ground", tuple(shapes), 1.8, "green")


def mushroom(random: Random) -> Motif:
    """A toadstool."""
    cap = smooth([(-0.4, -0.5), (-0.36, -0.75), (0, -0.98), (0.36, -0.75), (0.4, -0.5), (0, -0.44)])
    dots = [(-0.2, -0.66, 0.06), (0.03, -0.82, 0.055), (0.2, -0.62, 0.05), (-0.02, -0.58, 0.04)]
    return Motif("mushroom", "ground", (
        Shape.of("light", smooth([(-0.1, -0.55), (-0.12, -0.2), (-0.17, 0), (0.17, 0), (0.12, -0.2),
                                  (0.1, -0.55)])),
        Shape.of("main", cap),
        Shape("light", tuple(ellipse(x, y, r, r * 0.8) for x, y, r in dots)),
    ), 0.4, "red")  # fmt: skip


def apple(random: Random) -> Motif:
    """An apple with a leaf."""
    body = smooth([(0, -0.72), (0.25, -0.8), (0.42, -0.6), (0.38, -0.25), (0.18, 0), (0, -0.04),
                   (-0.18, 0), (-0.38, -0.25), (-0.42, -0.6), (-0.25, -0.8)])  # fmt: skip
    return Motif("apple", "ground", (
        Shape.of("main", body),
        Shape.of("stem", curve([(0, -0.7), (0.02, -0.85), (0.08, -0.96)], 0.03, 0.045)),
        Shape.of("leaf", _leaf(0.04, -0.84, 0.3, -0.35)),
        Shape.of("light", ellipse(-0.22, -0.58, 0.05, 0.1, 0.4)),
    ), 0.35, "red")  # fmt: skip
