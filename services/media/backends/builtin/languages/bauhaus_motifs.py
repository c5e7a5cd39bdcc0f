"""Things reduced to circles, squares and triangles; unit height, centred on (0, 0)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from services.media.backends.builtin import motifs
from services.media.backends.builtin.geometry import (
    Points,
    arc_band,
    circle,
    ellipse,
    polygon,
    rectangle,
    sector,
)
from services.media.backends.builtin.noise import Random

PI = math.pi
Form = Callable[[Random], list[tuple[str, list[Points]]]]


def _flower(random: Random) -> list[tuple[str, list[Points]]]:
    count = int(random.choice([6, 8]))
    petals = [
        circle(0.2 * math.cos(a), -0.2 + 0.2 * math.sin(a), 0.105 if count == 6 else 0.085)
        for a in np.arange(count) * 2 * PI / count
    ]
    return [
        ("line", [rectangle(-0.014, -0.2, 0.014, 0.5)]),
        ("green", [sector(0.014, 0.34, 0.2, -PI / 2, 0), sector(-0.014, 0.24, 0.16, PI, 1.5 * PI)]),
        ("a", petals),
        ("b", [circle(0, -0.2, 0.16)]),
        ("c", [circle(0, -0.2, 0.1)]),
        ("line", [circle(0, -0.2, 0.045)]),
    ]


def _tree(random: Random) -> list[tuple[str, list[Points]]]:
    return [
        ("line", [rectangle(-0.035, 0.0, 0.035, 0.5)]),
        ("green", [circle(0, -0.18, 0.3)]),
        ("a", [sector(0, -0.18, 0.3, -PI / 2, PI / 2)]),
        ("c", [circle(-0.1, -0.2, 0.07)]),
    ]


def _conifer(random: Random) -> list[tuple[str, list[Points]]]:
    tiers = [
        polygon((-w, y), (0, y - 0.32), (w, y))
        for w, y in ((0.3, 0.3), (0.24, 0.08), (0.17, -0.14))
    ]
    return [("line", [rectangle(-0.03, 0.3, 0.03, 0.5)]), ("green", tiers)]


def _bird(random: Random) -> list[tuple[str, list[Points]]]:
    return [
        ("a", [sector(0, 0, 0.26, 0, PI)]),
        ("b", [polygon((-0.12, 0.0), (0.14, 0.0), (-0.08, -0.42))]),
        ("line", [polygon((-0.26, 0.0), (-0.5, -0.12), (-0.42, 0.08))]),
        ("a", [circle(0.25, -0.06, 0.11)]),
        ("c", [polygon((0.34, -0.12), (0.5, -0.05), (0.34, 0.01))]),
        ("paper", [circle(0.27, -0.08, 0.036)]),
        ("line", [circle(0.275, -0.08, 0.016)]),
    ]


def _dog(random: Random) -> list[tuple[str, list[Points]]]:
    return [
        ("line", [rectangle(-0.32, 0.12, -0.22, 0.45), rectangle(0.12, 0.12, 0.22, 0.45)]),
        ("a", [rectangle(-0.34, -0.1, 0.24, 0.16)]),
        ("b", [sector(-0.24, 0.16, 0.1, 0, PI), rectangle(-0.24, 0.12, -0.14, 0.45),
               rectangle(0.02, 0.12, 0.12, 0.45)]),
        ("a", [polygon((-0.34, -0.1), (-0.34, 0.02), (-0.52, -0.3))]),
        ("a", [rectangle(0.12, -0.36, 0.36, -0.1)]),
        ("b", [rectangle(0.36, -0.25, 0.5, -0.1)]),
        ("line", [sector(0.16, -0.36, 0.17, PI / 4, PI * 0.75), circle(0.5, -0.22, 0.035),
                  circle(0.3, -0.27, 0.022)]),
        ("c", [rectangle(0.12, -0.12, 0.36, -0.07)]),
    ]  # fmt: skip


def _cat(random: Random) -> list[tuple[str, list[Points]]]:
    return [
        ("b", [arc_band(0.22, 0.33, 0.2, 0.06, -PI * 0.1, PI * 0.7)]),
        ("a", [sector(0, 0.5, 0.3, -PI, 0), polygon((-0.22, 0.4), (0, -0.15), (0.22, 0.4))]),
        ("a", [polygon((-0.2, -0.24), (-0.2, -0.5), (0.0, -0.34)), polygon((0.2, -0.24), (0.2,
        -0.5), (0.0, -0.34))]),
        ("b", [circle(0, -0.18, 0.2)]),
        ("c", [circle(-0.08, -0.2, 0.05), circle(0.08, -0.2, 0.05)]),
        ("line", [rectangle(-0.09, -0.25, -0.07, -0.15), rectangle(0.07, -0.25, 0.09, -0.15),
                  polygon((-0.03, -0.12), (0.03, -0.12), (0, -0.08))]),
        ("line", [rectangle(s * 0.26 - 0.16, y, s * 0.26 + 0.16, y + 0.006) for s in (-1, 1)
                  for y in (-0.115, -0.085)]),
    ]  # fmt: skip


def _horse(random: Random) -> list[tuple[str, list[Points]]]:
    return [
        ("line", [rectangle(-0.3, 0.1, -0.23, 0.48), rectangle(0.13, 0.1, 0.2, 0.48)]),
        ("a", [rectangle(-0.34, -0.12, 0.22, 0.12), polygon((0.0, -0.12), (0.22, 0.05), (0.36,
        -0.4), (0.22, -0.48))]),
        ("b", [polygon((0.2, -0.5), (0.3, -0.5), (0.54, -0.26), (0.44, -0.18))]),
        ("line", [polygon((0.2, -0.5), (-0.02, -0.12), (0.12, -0.12)), circle(0.34, -0.38, 0.02),
                  arc_band(-0.34, 0.08, 0.2, 0.05, PI, PI * 1.5)]),
        ("b", [rectangle(-0.2, 0.12, -0.13, 0.48), rectangle(0.03, 0.12, 0.1, 0.48)]),
    ]  # fmt: skip


def _robot(random: Random) -> list[tuple[str, list[Points]]]:
    return [
        ("line", [rectangle(-0.012, -0.5, 0.012, -0.38), rectangle(-0.14, 0.2, -0.07, 0.46),
                  rectangle(0.07, 0.2, 0.14, 0.46)]),
        ("c", [circle(0, -0.47, 0.035)]),
        ("a", [rectangle(-0.17, -0.39, 0.17, -0.12)]),
        ("b", [rectangle(-0.22, -0.1, 0.22, 0.22)]),
        ("line", [rectangle(-0.13, -0.33, 0.13, -0.21)]),
        ("c", [circle(-0.065, -0.27, 0.045), circle(0.065, -0.27, 0.045)]),
        ("paper", [rectangle(-0.13, -0.03, 0.13, 0.08)]),
        ("a", [sector(0, 0.08, 0.09, -PI, 0)]),
        ("line", [rectangle(-0.3, -0.08, -0.24, 0.14), rectangle(0.24, -0.08, 0.3, 0.14)]),
        ("c", [sector(-0.27, 0.18, 0.06, 0, PI), sector(0.27, 0.18, 0.06, 0, PI)]),
        ("line", [sector(-0.1, 0.48, 0.08, -PI, 0), sector(0.1, 0.48, 0.08, -PI, 0)]),
    ]  # fmt: skip


def _house(random: Random) -> list[tuple[str, list[Points]]]:
    return [
        ("line", [rectangle(0.18, -0.44, 0.26, -0.1)]),
        ("a", [rectangle(-0.34, -0.08, 0.34, 0.46)]),
        ("b", [polygon((-0.42, -0.08), (0, -0.5), (0.42, -0.08))]),
        ("line", [rectangle(-0.08, 0.16, 0.08, 0.46)]),
        ("c", [rectangle(-0.26, 0.02, -0.13, 0.15), rectangle(0.13, 0.02, 0.26, 0.15), circle(0,
        -0.22, 0.08)]),
    ]  # fmt: skip


def _city(random: Random) -> list[tuple[str, list[Points]]]:
    walls: list[list[Points]] = [[], [], []]
    panes = []
    x = -0.55
    for index in range(8):
        wide = float(random.choice([0.1, 0.13, 0.17]))
        top = 0.45 - float(random.uniform(0.3, 0.95))
        walls[index % 3].append(rectangle(x, top, x + wide, 0.45))
        for wy in np.arange(top + 0.05, 0.38, 0.09):
            panes += [rectangle(wx, wy, wx + 0.025, wy + 0.045)
                      for wx in np.arange(x + 0.025, x + wide - 0.03, 0.045)]  # fmt: skip
        x += wide
    return [
        ("a", walls[0]),
        ("line", walls[1]),
        ("b", walls[2]),
        ("paper", panes[::2]),
        ("c", panes[1::4]),
    ]


def _boat(random: Random) -> list[tuple[str, list[Points]]]:
    return [
        ("line", [rectangle(-0.01, -0.5, 0.01, 0.25)]),
        ("paper", [sector(0.02, 0.18, 0.55, -PI / 2, -0.02)]),
        ("a", [sector(0.02, 0.18, 0.5, -PI / 2, -0.02)]),
        ("c", [polygon((-0.03, -0.4), (-0.03, 0.18), (-0.32, 0.18))]),
        ("line", [sector(0.04, 0.22, 0.4, 0.25, PI - 0.25)]),
    ]


def _person(random: Random) -> list[tuple[str, list[Points]]]:
    return [
        ("line", [rectangle(-0.09, 0.2, -0.03, 0.5), rectangle(0.03, 0.2, 0.09, 0.5)]),
        ("a", [polygon((-0.22, 0.28), (0, -0.34), (0.22, 0.28))]),
        ("b", [rectangle(-0.26, -0.14, 0.26, -0.08)]),
        ("c", [circle(0, -0.36, 0.115)]),
        ("line", [sector(0, -0.37, 0.125, -PI, 0)]),
    ]


def _heart(random: Random) -> list[tuple[str, list[Points]]]:
    r = 0.2
    return [
        ("a", [sector(-r, -0.12, r, -PI, 0), polygon((-0.4, -0.121), (0, -0.121), (0, 0.42))]),
        ("b", [sector(r, -0.12, r, -PI, 0), polygon((0.4, -0.121), (0, -0.121), (0, 0.42))]),
        ("line", [rectangle(-0.4, -0.125, 0.4, -0.115)]),
        ("c", [circle(r, -0.14, 0.07)]),
    ]


def _fish(random: Random) -> list[tuple[str, list[Points]]]:
    return [
        ("b", [polygon((-0.22, 0), (-0.5, -0.24), (-0.5, 0.24))]),
        ("a", [circle(0.1, 0, 0.34)]),
        ("paper", [arc_band(0.18, 0, 0.2, 0.025, PI * 0.6, PI * 1.4), arc_band(0.06, 0, 0.2,
        0.025, PI * 0.6, PI * 1.4)]),
        ("paper", [circle(0.27, -0.08, 0.07)]),
        ("line", [circle(0.28, -0.08, 0.035)]),
    ]  # fmt: skip


def _sun(random: Random) -> list[tuple[str, list[Points]]]:
    rays = [rectangle(0.28, -0.02, 0.46, 0.02)]
    turned = []
    for a in np.arange(12) * PI / 6:
        c, s = math.cos(a), math.sin(a)
        turned += [ray @ np.array([[c, s], [-s, c]]) for ray in rays]
    return [
        ("line", turned),
        ("c", [circle(0, 0, 0.25)]),
        ("a", [sector(0, 0, 0.25, PI / 2, PI * 1.5)]),
    ]


def _mountain(random: Random) -> list[tuple[str, list[Points]]]:
    return [
        ("b", [polygon((-0.1, 0.45), (0.32, -0.2), (0.74, 0.45))]),
        ("a", [polygon((-0.7, 0.45), (-0.15, -0.45), (0.4, 0.45))]),
        ("line", [polygon((-0.15, -0.45), (0.4, 0.45), (-0.15, 0.45))]),
        ("paper", [polygon((-0.15, -0.45), (-0.31, -0.19), (0.01, -0.19))]),
    ]


def _eye(random: Random) -> list[tuple[str, list[Points]]]:
    return [
        ("line", [ellipse(0, 0, 0.52, 0.3)]),
        ("paper", [ellipse(0, 0, 0.49, 0.27)]),
        ("a", [circle(0, 0, 0.24)]),
        ("line", [circle(0, 0, 0.12)]),
        ("c", [sector(0, 0, 0.24, -PI / 2, 0)]),
    ]


def _traced(name: str) -> Form:
    """The common motif in flat inks, for things that are basic forms already."""
    roles = {"main": "a", "second": "b", "accent": "c", "stem": "line", "leaf": "green",
             "dark": "line",
             "light": "paper", "glow": "c"}  # fmt: skip

    def form(random: Random) -> list[tuple[str, list[Points]]]:
        motif = motifs.make(name, random)
        lift = 0.0 if motif.anchor == "air" else 0.5
        return [
            (roles[s.role], [o + np.array([0, lift]) for o in s.outlines]) for s in motif.shapes
        ]

    return form


FORMS: Mapping[str, Form] = {
    **{name: _traced(name) for name in motifs.MOTIFS},
    "flower": _flower, "rose": _flower, "sunflower": _flower, "tree": _tree, "conifer": _conifer,
    "bird": _bird, "dog": _dog, "cat": _cat, "horse": _horse, "robot": _robot, "house": _house,
    "city": _city, "boat": _boat, "person": _person, "heart": _heart, "fish": _fish, "sun": _sun,
    "mountain": _mountain, "eye": _eye,
}  # fmt: skip
