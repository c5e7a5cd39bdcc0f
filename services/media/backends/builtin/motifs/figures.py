"""People and robots."""

from __future__ import annotations

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

PI = 3.141592653589793


def person(random: Random) -> Motif:
    """Somebody in a coat with a scarf."""
    coat = smooth([(0, -0.8), (-0.1, -0.77), (-0.15, -0.55), (-0.2, -0.25), (-0.17, -0.22), (0,
    -0.2),
                   (0.17, -0.22), (0.2, -0.25), (0.15, -0.55), (0.1, -0.77)])  # fmt: skip
    raised = bool(random.random() < 0.4)
    hand = (0.3, -0.92) if raised else (0.2, -0.38)
    elbow = (0.25, -0.74) if raised else (0.21, -0.56)
    hair = bool(random.random() < 0.5)
    shapes = [
        Shape.of("dark", rectangle(-0.1, -0.25, -0.03, 0), rectangle(0.03, -0.25, 0.1, 0),
                 ellipse(-0.08, -0.01, 0.07, 0.022), ellipse(0.08, -0.01, 0.07, 0.022)),
        Shape.of("main", coat),
        Shape.of("second", curve([(-0.1, -0.74), (-0.2, -0.56), (-0.18, -0.38)], 0.075, 0.055),
                 curve([(0.1, -0.74), elbow, hand], 0.075, 0.055)),
        Shape.of("light", circle(0, -0.89, 0.085)),
        Shape.of("accent", ellipse(0, -0.79, 0.09, 0.032), polygon((0.02, -0.79), (0.1, -0.56),
                 (0.03, -0.55))),
    ]  # fmt: skip
    if hair:
        shapes.append(Shape.of("dark", smooth([(-0.09, -0.8), (-0.1, -0.92), (0, -1), (0.1, -0.92),
                                               (0.08, -0.88), (0, -0.94), (-0.06,
                                               -0.9)])))  # fmt: skip
    else:
        shapes.append(Shape.of("dark", sector(0, -0.91, 0.09, -PI, 0),
                               rectangle(-0.13, -0.925, 0.13, -0.905)))  # fmt: skip
    return Motif("person", "ground", tuple(shapes), 1.0)


def robot(random: Random) -> Motif:
    """A box of a robot with shining eyes."""
    raised = bool(random.random() < 0.35)
    hand = (0.42, -0.72) if raised else (0.37, -0.24)
    elbow = (0.38, -0.55) if raised else (0.37, -0.42)
    bolts = tuple(circle(x, y, 0.012, 12) for x in (-0.2, 0.2) for y in (-0.55, -0.24))
    return Motif("robot", "ground", (
        Shape.of("dark", rectangle(-0.15, -0.2, -0.06, 0), rectangle(0.06, -0.2, 0.15, 0),
                 rectangle(-0.045, -0.66, 0.045, -0.58),
                 curve([(0, -0.92), (0.0, -0.97)], 0.018, 0.018)),
        Shape.of("second", rectangle(-0.2, -0.045, -0.03, 0), rectangle(0.03, -0.045, 0.2, 0),
                 curve([(-0.24, -0.54), (-0.37, -0.42), (-0.37, -0.24)], 0.07, 0.06),
                 curve([(0.24, -0.54), elbow, hand], 0.07, 0.06)),
        Shape.of("dark", circle(-0.37, -0.22, 0.055), circle(hand[0], hand[1], 0.055)),
        Shape.of("main", rectangle(-0.25, -0.6, 0.25, -0.18)),
        Shape.of("main", rectangle(-0.2, -0.92, 0.2, -0.64)),
        Shape.of("second", rectangle(-0.24, -0.84, -0.2, -0.72), rectangle(0.2, -0.84, 0.24,
        -0.72)),
        Shape("dark", (*bolts, rectangle(-0.16, -0.86, 0.16, -0.745))),
        Shape.of("glow", circle(-0.08, -0.803, 0.043), circle(0.08, -0.803, 0.043),
                 circle(0, -0.985, 0.028)),
        Shape.of("dark", rectangle(-0.1, -0.7, 0.1, -0.685)),
        Shape.of("light", rectangle(-0.15, -0.52, 0.15, -0.34)),
        Shape.of("accent", sector(0, -0.36, 0.1, -PI, 0), circle(-0.1, -0.26, 0.025),
                 circle(0, -0.26, 0.025), circle(0.1, -0.26, 0.025)),
    ), 1.0, "silver")  # fmt: skip
