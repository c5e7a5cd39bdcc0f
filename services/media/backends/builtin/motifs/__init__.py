"""Things that can be recognised, as outlines with roles.

A motif is made in unit coordinates: y down, height 1. Those that stand have their foot at (0, 0)
and their top at y = -1; those that float are centred on (0, 0). Visual languages decide how roles
become colours, textures and edges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.media.backends.builtin.motifs import animals, built, figures, plants, sky
from services.media.backends.builtin.motifs.shape import Motif, Shape
from services.media.backends.builtin.noise import Random

__all__ = ["MOTIFS", "Motif", "Shape", "make"]

MOTIFS: Mapping[str, Callable[[Random], Motif]] = {
    "flower": plants.flower, "rose": plants.rose, "tulip": plants.tulip,
    "sunflower": plants.sunflower, "tree": plants.tree, "conifer": plants.conifer,
    "mushroom": plants.mushroom, "apple": plants.apple,
    "sun": sky.sun, "moon": sky.moon, "star": sky.star, "cloud": sky.cloud,
    "balloon": sky.balloon, "rocket": sky.rocket, "heart": sky.heart, "eye": sky.eye,
    "mountain": built.mountain, "house": built.house, "castle": built.castle,
    "city": built.city, "boat": built.boat, "car": built.car, "clock": built.clock,
    "book": built.book,
    "stone": built.stone, "umbrella": built.umbrella,
    "bird": animals.bird, "fish": animals.fish, "cat": animals.cat, "dog": animals.dog,
    "horse": animals.horse, "butterfly": animals.butterfly,
    "person": figures.person, "robot": figures.robot,
}  # fmt: skip


def make(name: str, random: Random) -> Motif:
    """Return the motif of this name, each time a little different."""
    return MOTIFS[name](random)
