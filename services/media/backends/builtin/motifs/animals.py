"""Animals as silhouettes with a few inner shapes."""

from __future__ import annotations

import numpy as np

from services.media.backends.builtin.geometry import (
    circle,
    curve,
    ellipse,
    polygon,
    smooth,
)
from services.media.backends.builtin.motifs.shape import Motif, Shape
from services.media.backends.builtin.noise import Random


def bird(random: Random) -> Motif:
    """A bird on the wing, flying to the right."""
    lift = float(random.uniform(0.7, 1.15))

    def wing(side: float, reach: float) -> list[tuple[float, float]]:
        return [
            (0.1 * side + 0.02, 0.0), (side * 0.06, -0.2 * lift), (side * 0.24, -0.38 * lift),
            (side * reach, -0.46 * lift), (side * 0.4, -0.26 * lift), (side * 0.24, -0.08 * lift),
            (side * 0.1 - 0.04, 0.08),
        ]  # fmt: skip

    body = smooth([(0.36, -0.02), (0.28, -0.09), (0.12, -0.06), (-0.12, 0.0), (-0.34, 0.03),
                   (-0.5, 0.02), (-0.34, 0.1), (-0.08, 0.12), (0.16, 0.1), (0.3,
                   0.05)])  # fmt: skip
    return Motif("bird", "air", (
        Shape.of("second", smooth(wing(1, 0.5))),
        Shape.of("main", body),
        Shape.of("main", smooth(wing(-1, 0.6))),
        Shape.of("accent", polygon((0.35, -0.05), (0.47, 0.01), (0.34, 0.03))),
        Shape.of("dark", circle(0.29, -0.03, 0.018, 16)),
    ), 0.45)  # fmt: skip


def fish(random: Random) -> Motif:
    """A fish, swimming to the right."""
    scales = tuple(circle(x, y, 0.035, 16) for x in (-0.12, 0.0, 0.12) for y in (-0.08, 0.02, 0.12))
    return Motif("fish", "air", (
        Shape.of("second", smooth([(-0.32, 0), (-0.56, -0.26), (-0.5, 0), (-0.56, 0.26)]),
                 smooth([(-0.1, -0.2), (0.05, -0.38), (0.2, -0.2)])),
        Shape.of("main", smooth([(-0.4, 0), (-0.2, -0.2), (0.15, -0.27), (0.42, -0.12), (0.52,
        0.02),
                                 (0.42, 0.12), (0.15, 0.25), (-0.2, 0.17)])),
        Shape("accent", scales),
        Shape.of("light", circle(0.36, -0.06, 0.055)), Shape.of("dark", circle(0.37, -0.06, 0.03)),
    ), 0.5)  # fmt: skip


def cat(random: Random) -> Motif:
    """A cat, sitting."""
    side = 1 if random.random() < 0.5 else -1
    tail = curve([(0.18 * side, -0.06), (0.36 * side, -0.05), (0.45 * side, -0.2), (0.4 * side,
    -0.38),
                  (0.47 * side, -0.5)], 0.1, 0.05)  # fmt: skip
    body = smooth([(0, -0.6), (-0.16, -0.52), (-0.25, -0.28), (-0.29, -0.08), (-0.22, 0), (0, 0.0),
                   (0.22, 0), (0.29, -0.08), (0.25, -0.28), (0.16, -0.52)])  # fmt: skip
    whiskers = tuple(
        curve([(s * 0.07, y), (s * 0.28, y + slope)], 0.008, 0.003)
        for s in (-1, 1) for y, slope in ((-0.66, -0.03), (-0.645, 0.01), (-0.63, 0.045))
    )  # fmt: skip
    return Motif("cat", "ground", (
        Shape.of("main", tail),
        Shape.of("main", body),
        Shape.of("second", ellipse(0, -0.25, 0.11, 0.2)),
        Shape.of("second", ellipse(-0.1, -0.03, 0.09, 0.045), ellipse(0.1, -0.03, 0.09, 0.045)),
        Shape.of("main", polygon((-0.2, -0.72), (-0.19, -1), (-0.02, -0.84)),
                 polygon((0.2, -0.72), (0.19, -1), (0.02, -0.84)),
                 ellipse(0, -0.71, 0.21, 0.17)),
        Shape.of("accent", polygon((-0.165, -0.84), (-0.165, -0.94), (-0.09, -0.86)),
                 polygon((0.165, -0.84), (0.165, -0.94), (0.09, -0.86)),
                 polygon((-0.025, -0.675), (0.025, -0.675), (0, -0.645))),
        Shape.of("glow", ellipse(-0.085, -0.73, 0.045, 0.038), ellipse(0.085, -0.73, 0.045, 0.038)),
        Shape.of("dark", ellipse(-0.085, -0.73, 0.012, 0.036), ellipse(0.085, -0.73, 0.012, 0.036)),
        Shape("light", whiskers),
    ), 0.65, str(random.choice(["grey", "orange", "gold", "white", "brown"])))  # fmt: skip


def dog(random: Random) -> Motif:
    """A dog, standing, looking to the right."""
    wag = float(random.uniform(-0.08, 0.06))
    k = 1.3
    near = [(-0.36, -0.5), (-0.15, -0.49), (0.1, -0.51), (0.19, -0.62), (0.25, -0.72), (0.33,
    -0.745),
            (0.4, -0.69), (0.5, -0.655), (0.535, -0.61), (0.5, -0.565), (0.4, -0.55), (0.31, -0.47),
            (0.28, -0.36), (0.25, -0.2), (0.25, -0.05), (0.3, -0.01), (0.28, 0.005), (0.17, 0.005),
            (0.165, -0.18), (0.12, -0.275), (-0.08, -0.28), (-0.21, -0.25), (-0.27, -0.14),
            (-0.235, -0.04), (-0.19, -0.01), (-0.21, 0.005), (-0.31, 0.005), (-0.33, -0.1),
            (-0.38, -0.22), (-0.42, -0.38)]  # fmt: skip
    far = (
        smooth([(0.1, -0.3), (0.13, -0.03), (0.17, 0), (0.06, 0), (0.04, -0.15), (0.0, -0.3)]),
        smooth([(-0.25, -0.3), (-0.16, -0.15), (-0.14, -0.03), (-0.1, 0), (-0.2, 0), (-0.23, -0.12),
                (-0.33, -0.26)]),
    )  # fmt: skip
    tail = curve([(-0.37, -0.46), (-0.48, -0.55 + wag), (-0.52, -0.68 + wag), (-0.48, -0.76 + wag)],
                 0.07, 0.03)  # fmt: skip
    shapes = (
        Shape("second", far),
        Shape.of("main", tail, smooth(near)),
        Shape.of("accent", polygon((0.195, -0.6), (0.335, -0.49), (0.315, -0.45), (0.175, -0.57))),
        Shape.of("second", smooth([(0.25, -0.735), (0.2, -0.62), (0.215, -0.52), (0.27, -0.52),
                                   (0.3, -0.64)])),
        Shape.of("dark", circle(0.365, -0.665, 0.016, 16), ellipse(0.522, -0.622, 0.024, 0.02)),
    )  # fmt: skip
    grown = tuple(Shape(s.role, tuple(o * k for o in s.outlines)) for s in shapes)
    return Motif(
        "dog", "ground", grown, 0.7, str(random.choice(["brown", "gold", "grey", "orange"]))
    )


def horse(random: Random) -> Motif:
    """A horse, standing, looking to the right."""
    near = [(-0.42, -0.62), (-0.2, -0.62), (0.05, -0.6), (0.18, -0.68), (0.27, -0.86), (0.34,
    -0.97),
            (0.37, -0.93), (0.42, -0.88), (0.54, -0.72), (0.53, -0.66), (0.47, -0.66), (0.38,
            -0.72),
            (0.33, -0.6), (0.28, -0.42), (0.24, -0.32), (0.24, -0.05), (0.27, 0), (0.18, 0),
            (0.16, -0.3), (0.08, -0.35), (-0.2, -0.34), (-0.3, -0.28), (-0.28, -0.15), (-0.3,
            -0.05),
            (-0.27, 0), (-0.37, 0), (-0.37, -0.15), (-0.42, -0.3), (-0.46, -0.48)]  # fmt: skip
    mane = [
        (0.33, -0.96),
        (0.24, -0.86),
        (0.15, -0.7),
        (0.1, -0.6),
        (0.18, -0.58),
        (0.25, -0.68),
        (0.3, -0.8),
    ]
    return Motif("horse", "ground", (
        Shape.of("second", polygon((0.08, -0.4), (0.1, 0), (0.03, 0), (0.0, -0.38)),
                 polygon((-0.3, -0.4), (-0.2, -0.14), (-0.2, 0), (-0.13, 0), (-0.14, -0.16),
                         (-0.2, -0.38))),
        Shape.of("dark", curve([(-0.43, -0.58), (-0.53, -0.5), (-0.54, -0.3), (-0.5, -0.16)],
                               0.08, 0.03)),
        Shape.of("main", smooth(near)),
        Shape.of("dark", smooth(mane), circle(0.4, -0.82, 0.014, 16)),
    ), 1.25, "brown")  # fmt: skip


def butterfly(random: Random) -> Motif:
    """A butterfly with open wings."""
    upper = [(0.02, -0.05), (0.12, -0.38), (0.36, -0.48), (0.5, -0.34), (0.42, -0.08), (0.2, 0.02)]
    lower = [(0.02, 0.02), (0.24, 0.04), (0.38, 0.18), (0.3, 0.4), (0.14, 0.36), (0.04, 0.18)]

    def both(points: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
        return smooth(points), smooth([(-x, y) for x, y in points])

    spots = [circle(s * x, y, r, 24) for s in (-1, 1) for x, y, r in
             ((0.33, -0.32, 0.07), (0.24, 0.2, 0.055), (0.2, -0.2, 0.04))]  # fmt: skip
    feelers = [
        curve([(0, -0.2), (s * 0.06, -0.36), (s * 0.16, -0.46)], 0.012, 0.008) for s in (-1, 1)
    ]
    return Motif("butterfly", "air", (
        Shape("second", both(lower)), Shape("main", both(upper)), Shape("accent", tuple(spots)),
        Shape("dark", (ellipse(0, 0, 0.028, 0.24), *feelers)),
    ), 0.35)  # fmt: skip
