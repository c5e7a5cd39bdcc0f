"""The default: a painted scene with air, light and weather; ribbons when there is no place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from services.media.backends.builtin.canvas import Canvas
from services.media.backends.builtin.cityscape import paint_city, paint_forest
from services.media.backends.builtin.geometry import circle, smooth, stroke
from services.media.backends.builtin.motifs import MOTIFS, make
from services.media.backends.builtin.noise import Random, fbm, warped
from services.media.backends.builtin.painting import (
    Placed,
    arrange,
    paint_motif,
    role_colours,
    shadow,
)
from services.media.backends.builtin.palette import (
    Palette,
    gradient,
    lighter,
    mix,
    oklch,
    palette_for,
)
from services.media.backends.builtin.scenery import (
    finish,
    paint_grass,
    paint_hills,
    paint_sea,
    paint_sky,
    paint_weather,
)
from services.media.backends.builtin.words import Scene

_STANDING = frozenset(
    name for name in MOTIFS if make(name, np.random.default_rng(0)).anchor == "ground"
)
# The scenery shows these itself.
_IN_SCENERY = frozenset({"sun", "moon", "cloud"})


def draw(canvas: Canvas, scene: Scene, random: Random) -> None:
    """Paint the scene."""
    palette = palette_for(scene, random)
    horizon = float(random.uniform(0.52, 0.66))
    golden = float(random.choice([0.382, 0.618]))
    paint_backdrop(canvas, scene, palette, random, horizon, 0.27 if golden > 0.5 else 0.73)
    for placed in subjects(scene, random, canvas, horizon, golden):
        shadow(canvas, placed, lighter(palette.ground, -0.7))
        paint_motif(canvas, placed, role_colours(placed, palette), haze=palette.haze)
        _dip(canvas, placed, palette, random)
    paint_weather(canvas, scene, palette, random, horizon)
    finish(canvas, random)


def subjects(
    scene: Scene, random: Random, canvas: Canvas, horizon: float, golden: float
) -> list[Placed]:
    """What stands in the scenery, placed."""
    skip = set(_IN_SCENERY)
    if scene.place == "city":
        skip.add("city")
    if scene.place == "mountain":
        skip.add("mountain")
    if scene.place == "forest":
        skip |= {"tree", "conifer"}
    return arrange(scene, random, canvas, horizon, golden=golden, skip=frozenset(skip))


def paint_backdrop(
    canvas: Canvas, scene: Scene, palette: Palette, random: Random, horizon: float, sun_x: float
) -> None:
    """Sky and ground of the scene's place."""
    sun = paint_sky(canvas, scene, palette, random, horizon, sun_x)
    if scene.place == "sea":
        if random.random() < 0.5:
            paint_hills(canvas, palette, random, horizon, layers=1, height=0.05)
        paint_sea(canvas, palette, random, horizon, sun)
        if any(s.motif in _STANDING for s in scene.subjects):
            _paint_shore(canvas, palette, random, horizon)
    elif scene.place == "city":
        paint_city(canvas, scene, palette, random, horizon)
    elif scene.place == "forest":
        paint_forest(canvas, palette, random, horizon)
        if scene.weather != "snow":
            paint_grass(canvas, palette, random, horizon, flowers=False)
    elif scene.place == "mountain":
        paint_hills(canvas, palette, random, horizon - 0.14, layers=6, height=0.17, cells=3)
    elif scene.place == "desert":
        paint_hills(canvas, palette, random, horizon, layers=5, height=0.06, cells=1.2)
    elif scene.place == "space":
        _paint_planet(canvas, palette, random, horizon)
        paint_hills(canvas, palette, random, horizon + 0.08, layers=3, height=0.05, start=0.4)
    elif scene.place is None and not scene.subjects:
        _paint_ribbons(canvas, palette, random)
    else:
        paint_hills(canvas, palette, random, horizon)
        if scene.weather != "snow" and (scene.place == "meadow" or _greenish(palette)):
            paint_grass(canvas, palette, random, horizon, flowers=scene.place == "meadow")


def _greenish(palette: Palette) -> bool:
    r, g, b = palette.ground
    return g > r and g > b


def _paint_shore(canvas: Canvas, palette: Palette, random: Random, horizon: float) -> None:
    """Land in front of the water, for what stands on its feet."""
    shade = {"night": 0.4, "dusk": 0.75}.get(palette.time, 1.0)
    land = replace(
        palette, ground=oklch(0.68 * shade, 0.12, 125), haze=oklch(0.8 * shade, 0.09, 95)
    )
    front = horizon + (1 - horizon) * 0.24
    paint_hills(canvas, land, random, front, layers=2, height=0.03, cells=1.4, start=0.55)
    paint_grass(canvas, land, random, front + 0.02)


def _dip(canvas: Canvas, placed: Placed, palette: Palette, random: Random) -> None:
    """Waves in front of a hull, so that a boat lies in the water."""
    if placed.motif.anchor != "water":
        return
    unit = placed.size
    xs = np.linspace(-0.6, 0.7, 9)
    for row in range(3):
        y = placed.y + unit * 0.012 * (1 + row * 2.4)
        path = smooth([(placed.x + unit * x, y + unit * 0.012 * float(random.uniform(-1, 1)))
                       for x in xs], closed=False)  # fmt: skip
        canvas.fill(stroke(path, unit * 0.004, unit * 0.022), mix(palette.ground, palette.sky[2],
        0.35),
                    0.8)  # fmt: skip


def _paint_planet(canvas: Canvas, palette: Palette, random: Random, horizon: float) -> None:
    r = canvas.short * float(random.uniform(0.16, 0.26))
    x, y = canvas.width * float(random.uniform(0.25, 0.75)), canvas.height * horizon * 0.45
    colour = palette.accent(0)
    canvas.glow(x, y, r / canvas.short * 1.5, colour, 0.25)
    canvas.fill(circle(x, y, r, 128), lighter(colour, -0.6))
    mask = canvas.mask([circle(x, y, r, 128)])
    if mask is not None:
        bands = fbm(random, mask.alpha.shape[0], mask.alpha.shape[1], 3, 4, stretch=5)[..., None]
        light = np.asarray(lighter(colour, 0.3), np.float32)
        deep = np.asarray(lighter(colour, -0.55), np.float32)
        fall = np.linspace(1.15, 0, mask.alpha.shape[1], dtype=np.float32)[None, :, None]
        canvas.paint(mask, (deep + (light - deep) * bands) * np.clip(fall, 0.06, 1))


def _paint_ribbons(canvas: Canvas, palette: Palette, random: Random) -> None:
    """Bands of colour that follow a flow field: for prompts without a thing or a place."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    smoke = warped(random, h, w, 1.7, 1.5)
    veil = tuple(mix(c, palette.sky[0], 0.35) for c in palette.accents[:3])
    canvas.pixels[:] = gradient(
        (palette.sky[0], veil[0], palette.sky[2], veil[1], palette.dark), smoke
    )
    flow = fbm(random, 160, 160, 1.3, 2) * np.float32(2 * np.pi * 1.2)
    turn = float(random.uniform(0, 2 * np.pi))
    colours = [*palette.accents[:4], palette.light, palette.sky[0]]
    profile = np.sin(np.linspace(0.02, np.pi - 0.02, 44)) ** 0.7
    for index in range(130):
        x, y = float(random.uniform(-0.1, 1.1)) * w, float(random.uniform(-0.1, 1.1)) * h
        path = []
        for _ in range(44):
            path.append((x, y))
            # The field reaches beyond the edges, where ribbons come from.
            row = int(np.clip((y / h + 0.3) / 1.6 * 159, 0, 159))
            column = int(np.clip((x / w + 0.3) / 1.6 * 159, 0, 159))
            angle = float(flow[row, column]) + turn
            x += unit * 0.016 * float(np.cos(angle))
            y += unit * 0.016 * float(np.sin(angle))
        wide = unit * 0.05 * (1 - index / 200) * float(random.uniform(0.4, 1.4))
        colour = colours[int(random.integers(len(colours)))]
        ribbon = stroke(path, wide * profile)
        canvas.fill(
            ribbon + np.array([unit * 0.004, unit * 0.006]), lighter(palette.dark, -0.2), 0.25
        )
        canvas.fill(ribbon, colour, 0.88)
