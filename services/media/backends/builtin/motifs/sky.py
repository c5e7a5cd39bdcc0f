"""What floats: sun, moon, stars, clouds, balloons, and signs such as the heart."""

from __future__ import annotations

import math

import numpy as np

from services.media.backends.builtin.geometry import (
    circle,
    curve,
    ellipse,
    polygon,
    rectangle,
    smooth,
)
from services.media.backends.builtin.geometry import star as star_outline
from services.media.backends.builtin.motifs.shape import Motif, Shape
from services.media.backends.builtin.noise import Random


def sun(random: Random) -> Motif:
    """A disc with rays."""
    rays = tuple(
        polygon(
            (0.36 * math.cos(a - 0.1), 0.36 * math.sin(a - 0.1)),
            (0.52 * math.cos(a), 0.52 * math.sin(a)),
            (0.36 * math.cos(a + 0.1), 0.36 * math.sin(a + 0.1)),
        )
        for a in np.arange(14) * 2 * math.pi / 14
    )
    return Motif("sun", "air", (Shape("second", rays), Shape.of("main", circle(0, 0, 0.32))), 0.6,
                 "yellow")  # fmt: skip


def moon(random: Random) -> Motif:
    """A crescent."""
    # Two circles, radius 0.45 at 0 and 0.4 at 0.2, meet at (0.206, ±0.4).
    outer_end, inner_end = math.atan2(0.4, 0.206), math.atan2(0.4, 0.006)
    outer = np.linspace(outer_end, 2 * math.pi - outer_end, 48)
    inner = np.linspace(2 * math.pi - inner_end, inner_end, 48)
    outline = np.vstack(
        [
            np.stack([0.45 * np.cos(outer), 0.45 * np.sin(outer)], axis=1),
            np.stack([0.2 + 0.4 * np.cos(inner), 0.4 * np.sin(inner)], axis=1),
        ]
    )
    return Motif("moon", "air", (Shape.of("light", outline),), 0.55, "gold")


def star(random: Random) -> Motif:
    """Five points."""
    turn = float(random.uniform(-0.2, 0.2))
    return Motif("star", "air", (
        Shape.of("main", star_outline(0, 0, 0.5, 0.2, 5, turn)),
        Shape.of("light", star_outline(0, 0, 0.26, 0.104, 5, turn)),
    ), 0.3, "gold")  # fmt: skip


def cloud(random: Random) -> Motif:
    """Four puffs on a flat base."""
    puffs = [(-0.5, 0.05, 0.2), (-0.2, -0.1, 0.28), (0.18, -0.05, 0.24), (0.48, 0.08, 0.17)]
    base = rectangle(-0.52, 0.0, 0.5, 0.25)
    return Motif("cloud", "air", (
        Shape("light", (*(circle(x, y, r) for x, y, r in puffs), base)),
    ), 0.45, "white")  # fmt: skip


def balloon(random: Random) -> Motif:
    """A hot-air balloon."""
    hull = smooth([(0, -0.5), (0.28, -0.4), (0.36, -0.15), (0.22, 0.12), (0.08, 0.26), (-0.08,
    0.26),
                   (-0.22, 0.12), (-0.36, -0.15), (-0.28, -0.4)])  # fmt: skip
    middle = smooth([(0, -0.5), (0.11, -0.38), (0.13, -0.15), (0.07, 0.14), (0.03, 0.26),
                     (-0.03, 0.26), (-0.07, 0.14), (-0.13, -0.15), (-0.11, -0.38)])  # fmt: skip
    return Motif("balloon", "air", (
        Shape.of("dark", curve([(-0.075, 0.26), (-0.05, 0.4)], 0.01, 0.01),
                 curve([(0.075, 0.26), (0.05, 0.4)], 0.01, 0.01)),
        Shape.of("main", hull),
        Shape.of("accent", middle),
        Shape.of("stem", rectangle(-0.065, 0.39, 0.065, 0.5)),
    ), 0.9, "red")  # fmt: skip


def rocket(random: Random) -> Motif:
    """A rocket with a flame."""
    return Motif("rocket", "air", (
        Shape.of("glow", smooth([(-0.07, 0.28), (0.07, 0.28), (0.05, 0.4), (0, 0.52), (-0.05,
        0.4)])),
        Shape.of("accent", polygon((-0.1, 0.05), (-0.24, 0.3), (-0.08, 0.24)),
                 polygon((0.1, 0.05), (0.24, 0.3), (0.08, 0.24))),
        Shape.of("main", smooth([(0, -0.5), (0.12, -0.25), (0.13, 0.05), (0.08, 0.28), (-0.08,
        0.28),
                                 (-0.13, 0.05), (-0.12, -0.25)])),
        Shape.of("dark", circle(0, -0.16, 0.07)),
        Shape.of("light", circle(0, -0.16, 0.05)),
    ), 1.1, "white")  # fmt: skip


def heart(random: Random) -> Motif:
    """A heart."""
    t = np.linspace(0, 2 * math.pi, 80, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    outline = np.stack([x, y], axis=1) / 34
    return Motif("heart", "air", (
        Shape.of("main", outline),
        Shape.of("light", ellipse(-0.23, -0.2, 0.1, 0.055, -0.7)),
    ), 1.0, "red")  # fmt: skip


def eye(random: Random) -> Motif:
    """An open eye."""
    almond = smooth([(-0.6, 0), (-0.3, -0.25), (0, -0.33), (0.3, -0.25), (0.6, 0), (0.3, 0.22),
                     (0, 0.29), (-0.3, 0.22)])  # fmt: skip
    lashes = tuple(
        curve([(0.52 * math.sin(a), -0.33 * math.cos(a)), (0.68 * math.sin(a), -0.5 * math.cos(a))],
              0.03, 0.008)
        for a in np.linspace(-1.0, 1.0, 7)
    )  # fmt: skip
    return Motif("eye", "air", (
        Shape("dark", lashes),
        Shape.of("light", almond),
        Shape.of("main", circle(0, -0.02, 0.25)),
        Shape.of("dark", circle(0, -0.02, 0.12)),
        Shape.of("light", circle(0.07, -0.1, 0.045)),
    ), 0.8, "blue")  # fmt: skip
