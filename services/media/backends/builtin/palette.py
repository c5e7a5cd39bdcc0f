"""Colours of a picture, mixed in OKLCH so that they belong together.

Björn Ottosson, "A perceptual color space for image processing" (2020) gives the matrices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.media.backends.builtin.canvas import Pixels, Rgb
from services.media.backends.builtin.noise import Random
from services.media.backends.builtin.words import Scene

_M1 = np.array([[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728],
                [1, -0.0894841775, -1.2914855480]])  # fmt: skip
_M2 = np.array([[4.0767416621, -3.3077115913, 0.2309699292],
                [-1.2684380046, 2.6097574011, -0.3413193965],
                [-0.0041960863, -0.7034186147, 1.7076147010]])  # fmt: skip

# Lightness, chroma, hue in degrees.
NAMED: Mapping[str, tuple[float, float, float]] = {
    "red": (0.57, 0.22, 27), "orange": (0.72, 0.18, 55), "yellow": (0.87, 0.17, 95),
    "green": (0.6, 0.16, 145), "turquoise": (0.74, 0.12, 195), "blue": (0.52, 0.17, 258),
    "purple": (0.5, 0.19, 305), "pink": (0.74, 0.17, 355), "brown": (0.45, 0.08, 55),
    "black": (0.2, 0.01, 270), "white": (0.97, 0.01, 90), "grey": (0.62, 0.01, 250),
    "gold": (0.78, 0.14, 85), "silver": (0.82, 0.01, 240),
}  # fmt: skip

_SKIES: Mapping[str, tuple[tuple[float, float, float], ...]] = {
    "day": ((0.68, 0.12, 243), (0.82, 0.08, 232), (0.95, 0.035, 200)),
    "dawn": ((0.70, 0.09, 275), (0.84, 0.09, 20), (0.95, 0.07, 80)),
    "dusk": ((0.38, 0.13, 290), (0.66, 0.18, 35), (0.87, 0.14, 78)),
    "night": ((0.17, 0.06, 275), (0.27, 0.09, 270), (0.42, 0.10, 262)),
}
_GROUNDS: Mapping[str, tuple[float, float, float]] = {
    "meadow": (0.66, 0.15, 130), "sea": (0.52, 0.10, 232), "forest": (0.48, 0.10, 145),
    "city": (0.42, 0.04, 270), "desert": (0.78, 0.10, 75), "space": (0.34, 0.06, 300),
    "mountain": (0.55, 0.06, 180),
}  # fmt: skip


def oklch(lightness: float, chroma: float, hue: float) -> Rgb:
    """Return sRGB 0..1; out of gamut colours lose chroma until they fit. Hue in degrees."""
    for _ in range(24):
        a = chroma * math.cos(math.radians(hue))
        b = chroma * math.sin(math.radians(hue))
        linear = _M2 @ (_M1 @ np.array([lightness, a, b])) ** 3
        if linear.min() >= -1e-3 and linear.max() <= 1.001:
            break
        chroma *= 0.9
    c = np.clip(linear, 0, 1)
    rgb = np.where(c <= 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055)
    return (round(float(rgb[0]), 4), round(float(rgb[1]), 4), round(float(rgb[2]), 4))


def named(name: str) -> Rgb:
    """The colour of a colour word."""
    return oklch(*NAMED[name])


def mix(a: Rgb, b: Rgb, t: float) -> Rgb:
    """Between two colours; t = 0 is a."""
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t)


def lighter(colour: Rgb, amount: float) -> Rgb:
    """Towards white, or towards black when the amount is negative."""
    target = (1.0, 1.0, 1.0) if amount > 0 else (0.0, 0.0, 0.0)
    return mix(colour, target, abs(amount))


def luminance(colour: Rgb) -> float:
    """How light it looks, 0 to 1."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def gradient(stops: tuple[Rgb, ...], t: NDArray[Any]) -> Pixels:
    """Colours along evenly spaced stops, t of any shape in 0..1; adds a last axis of 3."""
    at = np.linspace(0, 1, len(stops))
    table = np.linspace(0, 1, 1024)
    ramp = np.stack([np.interp(table, at, [s[i] for s in stops]) for i in range(3)], axis=1)
    index = (np.clip(t, 0, 1) * 1023).astype(np.int16)
    colours: Pixels = ramp.astype(np.float32)[index]
    return colours


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one picture; `sky` from top to horizon, `accents` for what matters."""

    time: str
    sky: tuple[Rgb, Rgb, Rgb]
    haze: Rgb
    ground: Rgb
    accents: tuple[Rgb, ...]
    light: Rgb
    dark: Rgb
    # The air takes colour away (rain, fog, sorrow).
    dull: bool = False

    def accent(self, index: int) -> Rgb:
        """One of the accents, in turn."""
        return self.accents[index % len(self.accents)]


def palette_for(scene: Scene, random: Random) -> Palette:
    """Return the colours that time, weather, place, mood and colour words ask for."""
    time = scene.time or ("night" if scene.place == "space" or scene.mood == "neon" else "")
    time = time or ("dusk" if scene.mood in ("sad", "dark", "angry") else "")
    if not time:
        time = str(random.choice(["day", "day", "dawn", "dusk"]))
    turn = float(random.uniform(-14, 14))
    grey, dim = _weather(scene)
    sky = [oklch(lo * dim, ch * grey, hue + turn) for lo, ch, hue in _SKIES[time]]
    if scene.mood == "neon":
        sky[2] = oklch(0.45, 0.2, 330 + turn)
    lo, ch, hue = _GROUNDS.get(scene.place or "", (0.55, 0.11, float(random.uniform(90, 200))))
    shade = {"night": 0.55, "dusk": 0.78, "dawn": 0.95}.get(time, 1.0) * dim
    ground = oklch(lo * shade, ch * grey, hue + turn * 0.6)
    if scene.weather == "snow":
        ground = oklch(0.93 * max(shade, 0.7), 0.02, 240)
    return Palette(
        time=time,
        sky=(sky[0], sky[1], sky[2]),
        haze=mix(sky[2], sky[1], 0.35),
        ground=ground,
        accents=_accents(scene, random),
        light=oklch(0.96, 0.06, 85 + turn),
        dark=oklch(0.24, 0.05, 280 + turn),
        dull=grey < 0.8,
    )


def _weather(scene: Scene) -> tuple[float, float]:
    """How grey (1 = not at all) and how dim the air is."""
    grey, dim = {"rain": (0.45, 0.85), "storm": (0.4, 0.62), "fog": (0.4, 1.0),
                 "snow": (0.5, 1.0)}.get(scene.weather or "", (1.0, 1.0))  # fmt: skip
    if scene.mood in ("sad", "dark"):
        return grey * 0.75, dim * 0.88
    if scene.mood in ("joyful", "neon"):
        return max(1.15, grey), dim
    return grey, dim


def _accents(scene: Scene, random: Random) -> tuple[Rgb, ...]:
    # A colour that belongs to one thing, and no colour at all, do not tint the others.
    owned = {subject.colour for subject in scene.subjects} | {"black", "white", "grey"}
    found = [named(colour) for colour in scene.colours if colour not in owned]
    if scene.mood == "neon":
        found += [oklch(0.7, 0.28, 345), oklch(0.85, 0.16, 200), oklch(0.88, 0.2, 120)]
    start = float(random.choice([18, 30, 48, 350, 330]))
    chroma = 0.12 if scene.mood in ("sad", "calm") else 0.19
    steps = ((0.64, 0), (0.82, 62), (0.58, 225), (0.72, 130))
    found += [oklch(lo, chroma, start + hue) for lo, hue in steps]
    return tuple(found[:6])
