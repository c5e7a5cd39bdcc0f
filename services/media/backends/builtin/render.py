"""A PNG from words: the same prompt, recipe, seed and size give the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np

from services.kit.errors import InvalidArgument
from services.media.backends.builtin.canvas import Canvas
from services.media.backends.builtin.languages import (
    bauhaus,
    dada,
    landscape,
    overdrive,
    renaissance,
    stillepost,
    theopposite,
)
from services.media.backends.builtin.noise import Random
from services.media.backends.builtin.words import Scene, read_scene

MIN_SIDE_PIXELS = 64
MAX_SIDE_PIXELS = 2048

Draw = Callable[[Canvas, Scene, Random], None]
Step = Callable[[float], None]

LANGUAGES: Mapping[str, Draw] = {
    "landscape": landscape.draw,
    "bauhaus": bauhaus.draw,
    "dada": dada.draw,
    "renaissance": renaissance.draw,
    "overdrive": overdrive.draw,
    "stillepost": stillepost.draw,
    "theopposite": theopposite.draw,
}
# Which visual language a recipe speaks; all others speak the default.
BY_RECIPE: Mapping[str, str] = {
    "bauhaus": "bauhaus",
    "clichefilter": "bauhaus",
    "technicaldrawing": "bauhaus",
    "dada": "dada",
    "image_comparison": "dada",
    "renaissance": "renaissance",
    "overdrive": "overdrive",
    "forceful": "overdrive",
    "stillepost": "stillepost",
    "analogue_copy": "stillepost",
    "theopposite": "theopposite",
}
DEFAULT_LANGUAGE = "landscape"


def language_of(recipe: str) -> str:
    """The visual language of a recipe."""
    return BY_RECIPE.get(recipe, DEFAULT_LANGUAGE)


def render_png(
    prompt: str, recipe: str, seed: int, width: int, height: int, step: Step | None = None
) -> bytes:
    """Return a PNG of this size without metadata.

    `step` is told the finished part, 0 to 1, at real steps: understood, drawn, encoded. Raises
    InvalidArgument INVALID_PARAMETER for a side outside of 64 to 2048 pixels.
    """
    for name, side in (("width", width), ("height", height)):
        if not MIN_SIDE_PIXELS <= side <= MAX_SIDE_PIXELS:
            raise InvalidArgument(
                "INVALID_PARAMETER", f"expected {MIN_SIDE_PIXELS} to {MAX_SIDE_PIXELS}",
                field=f"parameters.{name}",
            )  # fmt: skip
    tell = step or (lambda _: None)
    scene = read_scene(prompt)
    tell(0.05)
    canvas = Canvas(width, height)
    LANGUAGES[language_of(recipe)](canvas, scene, random_for(prompt, recipe, seed))
    tell(0.85)
    data = canvas.png()
    tell(1.0)
    return data


def random_for(prompt: str, recipe: str, seed: int) -> Random:
    """The chance of one job: the same for the same words, recipe and seed."""
    # Lengths first: no two different inputs are joined to the same text.
    text = f"{len(prompt)}:{len(recipe)}:{seed}:{recipe}:{prompt}"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))
