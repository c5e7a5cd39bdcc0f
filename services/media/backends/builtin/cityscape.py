"""Streets and woods: grounds made of many upright things."""

from __future__ import annotations

import numpy as np

from services.media.backends.builtin import motifs
from services.media.backends.builtin.canvas import Canvas, Mask
from services.media.backends.builtin.geometry import Points, place, rectangle, stroke
from services.media.backends.builtin.noise import Random, fbm, ridge
from services.media.backends.builtin.palette import Palette, lighter, mix, oklch
from services.media.backends.builtin.words import Scene


def paint_city(
    canvas: Canvas, scene: Scene, palette: Palette, random: Random, horizon: float
) -> None:
    """Three rows of towers with lit windows, and a wet street that mirrors them."""
    foot = canvas.height * horizon
    dark = palette.time in ("night", "dusk")
    for row in range(3):
        near = row / 2
        wall = mix(mix(palette.haze, palette.sky[1], 0.5), palette.dark if dark else palette.ground,
                   0.35 + 0.55 * near)  # fmt: skip
        towers, windows = _towers(canvas, random, foot, near)
        for index, tower in enumerate(towers):
            canvas.fill(tower, lighter(wall, 0.07 * (index % 3 - 1)))
        lit = oklch(0.9, 0.11, 85) if dark else lighter(wall, 0.4)
        canvas.fill(windows, lit, 0.35 + 0.45 * near)
        if scene.mood == "neon" or palette.time == "night":
            _signs(canvas, palette, random, foot, near)
    _mirror_street(canvas, palette, random, horizon)


def _towers(
    canvas: Canvas, random: Random, foot: float, near: float
) -> tuple[list[Points], list[Points]]:
    w, unit = canvas.width, canvas.short
    towers, windows = [], []
    x = -0.05 * w
    while x < w:
        wide = unit * float(random.uniform(0.06, 0.12)) * (0.8 + 0.6 * near)
        # Lower in the middle when near, so that the street opens.
        middle = 1 - abs(x + wide / 2 - w / 2) / (w / 2)
        high = foot * float(random.uniform(0.35, 0.8)) * (1 - near * middle * 0.62)
        towers.append(rectangle(x, foot - high, x + wide, foot + 2))
        if random.random() < 0.3:
            towers.append(
                rectangle(x + wide * 0.47, foot - high - unit * 0.05, x + wide * 0.53, foot)
            )
        step = unit * (0.014 + 0.008 * near)
        columns = max(1, int(wide / step) - 1)
        for column in range(columns):
            for line in range(int(high / (step * 1.5)) - 1):
                if random.random() < 0.42:
                    wx, wy = x + step * (0.6 + column), foot - high + step * (0.8 + line * 1.5)
                    windows.append(rectangle(wx, wy, wx + step * 0.5, wy + step * 0.75))
        x += wide * float(random.uniform(0.85, 1.12))
    return towers, windows


def _signs(canvas: Canvas, palette: Palette, random: Random, foot: float, near: float) -> None:
    unit = canvas.short
    for index in range(7):
        x = canvas.width * float(random.random())
        y = foot * float(random.uniform(0.45, 0.92))
        high = unit * float(random.uniform(0.05, 0.16)) * (0.5 + near)
        wide = unit * 0.013 * (0.5 + near)
        sign = rectangle(x, y - high / 2, x + wide, y + high / 2)
        if index % 3 == 0:
            sign = rectangle(x, y, x + high, y + wide)
        colour = palette.accent(index)
        canvas.fill(sign, colour, 0.9, blur=unit * 0.022, mode="screen")
        canvas.fill(sign, lighter(colour, 0.4))


def _mirror_street(canvas: Canvas, palette: Palette, random: Random, horizon: float) -> None:
    w, h = canvas.width, canvas.height
    top = min(h - 2, int(h * horizon))
    deep = h - top
    source = np.clip(top - 1 - (np.arange(deep) * 1.5).astype(np.int64), 0, h - 1)
    wobble = ((fbm(random, deep, w, 14, 2, stretch=5) - 0.5) * canvas.short * 0.07).astype(np.int32)
    columns = np.clip(np.arange(w)[None, :] + wobble, 0, w - 1)
    mirror = canvas.pixels[source[:, None], columns]
    near = np.linspace(0, 1, deep, dtype=np.float32)[:, None, None]
    street = np.asarray(lighter(palette.ground, -0.35), dtype=np.float32)
    canvas.pixels[top:] = mirror * (0.72 - 0.3 * near) + street * (0.28 + 0.25 * near)
    curb = rectangle(0, top - 1, w, top + max(1.0, canvas.short * 0.004))
    canvas.fill(curb, palette.dark, 0.6)


def paint_forest(canvas: Canvas, palette: Palette, random: Random, horizon: float) -> None:
    """Rows of trunks and firs that come out of the haze."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    shade = {"night": 0.55, "dusk": 0.8}.get(palette.time, 1.0)
    needles = oklch(0.32 * shade, 0.055, 165)
    for row in range(4):
        near = row / 3
        colour = mix(palette.haze, needles, 0.25 + 0.7 * near)
        foot = h * (horizon + (1 - horizon) * 0.42 * near)
        firs = []
        for _ in range(int(22 - 13 * near)):
            x, size = (
                w * float(random.uniform(-0.05, 1.05)),
                unit * float(random.uniform(0.3, 0.52)),
            )
            if row == 3 and abs(x / w - 0.5) < 0.33:
                continue
            tree = motifs.make("conifer", random)
            firs += [
                place(o, x, foot + unit * 0.02, size * (0.75 + 0.9 * near))
                for s in tree.shapes
                for o in s.outlines
            ]
        canvas.fill(firs, colour, 0.95)
        ground = ridge(random, w, 3) * unit * 0.02 + foot
        rows = np.arange(h, dtype=np.float32)[:, None]
        canvas.paint(
            Mask(0, 0, np.clip(rows - ground[None, :], 0, 1)),
            mix(colour, palette.ground, 0.3 + 0.6 * near),
        )
    if palette.time != "night":
        for index in range(5):
            x = w * (0.15 + 0.18 * index) + unit * float(random.uniform(-0.05, 0.05))
            beam = stroke([(x, -h * 0.05), (x - unit * 0.35, h * 0.9)], unit * 0.03, unit * 0.12)
            canvas.fill(beam, palette.light, 0.16, blur=unit * 0.02, mode="screen")
