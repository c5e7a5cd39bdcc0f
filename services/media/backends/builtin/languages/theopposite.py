"""The opposite: one half of a cut, and the same turned on its head in the negative."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from services.media.backends.builtin import motifs
from services.media.backends.builtin.canvas import Canvas, Mask, Pixels, Rgb
from services.media.backends.builtin.geometry import Points, bounds, circle, stroke
from services.media.backends.builtin.noise import Random, grain, ridge
from services.media.backends.builtin.painting import Placed
from services.media.backends.builtin.palette import lighter, luminance, mix, named, oklch
from services.media.backends.builtin.words import Scene, Subject


def draw(canvas: Canvas, scene: Scene, random: Random) -> None:
    """Cut one half, turn it, take its negative, join both along a wave."""
    hue = float(random.uniform(0, 360))
    ground = oklch(0.9, 0.07, hue)
    ink = oklch(0.22, 0.05, hue + 200)
    strong = named(scene.colours[0]) if scene.colours else oklch(0.62, 0.21, hue + 150)
    if abs(luminance(strong) - luminance(ground)) < 0.12:
        strong = lighter(strong, -0.5)
    if scene.time == "night":
        ground, ink = oklch(0.3, 0.09, hue + 200), oklch(0.94, 0.05, hue)
    _cut(canvas, scene, random, ground, ink, strong)
    turned = 1 - canvas.pixels[::-1, ::-1]
    side = _side(canvas, random)
    canvas.pixels = canvas.pixels * side[..., None] + turned * (1 - side[..., None])
    canvas.texture(grain(random, canvas.height, canvas.width), 0.009)


def _side(canvas: Canvas, random: Random) -> Pixels:
    """1 in the upper half, 0 below the wave; the wave maps onto itself when turned by 180°."""
    h, w = canvas.height, canvas.width
    slope = float(random.uniform(-0.28, 0.28)) * h
    sway = float(random.uniform(0.04, 0.09)) * canvas.short * float(random.choice([-1, 1]))
    t = (np.arange(w, dtype=np.float32) + 0.5) / w - 0.5
    line = (h - 1) / 2 + slope * t + sway * np.sin(t * np.float32(2 * math.pi))
    rows = np.arange(h, dtype=np.float32)[:, None]
    side: Pixels = np.clip(line[None, :] - rows + 0.5, 0, 1).astype(np.float32)
    return side


def _cut(canvas: Canvas, scene: Scene, random: Random, ground: Rgb, ink: Rgb, strong: Rgb) -> None:
    """A linocut: two inks, lines of the gouge, no shades."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    canvas.pixels[:] = np.asarray(ground, dtype=np.float32)
    x, y = w * float(random.choice([0.26, 0.74])), h * float(random.uniform(0.16, 0.24))
    _gouged_sky(canvas, random, mix(ground, ink, 0.32), x, y)
    r = unit * float(random.uniform(0.1, 0.15))
    canvas.fill(circle(x, y, r, 128), strong)
    if scene.time == "night":
        canvas.fill(circle(x + r * 0.42, y - r * 0.15, r * 0.86, 128), ground)
    _hill(canvas, random, ink, strong, scene)
    _weather(canvas, scene, random, ink)
    subjects = scene.subjects[:3] or (Subject(str(random.choice(["person", "tree", "house"]))),)
    for order, subject in enumerate(subjects):
        for copy in range(min(subject.count, 5)):
            _figure(canvas, random, subject, order, copy, (ground, ink, strong))


def _gouged_sky(canvas: Canvas, random: Random, colour: Rgb, x: float, y: float) -> None:
    """Rings around the light, cut with an unsteady hand."""
    unit = canvas.short
    rings: list[Points] = []
    for index in range(3, 34):
        r = unit * 0.036 * (index + 1.4)
        t = np.linspace(0, 2 * math.pi, 90)
        wave = 1 + 0.006 * np.sin(t * 7 + index) + 0.004 * np.sin(t * 17 + index * 2)
        path = np.stack([x + r * wave * np.cos(t), y + r * wave * np.sin(t)], axis=1)
        gaps = random.random(6) * 80
        width = unit * (0.0035 + 0.004 * (index % 2))
        previous = 0
        for gap in sorted(int(g) for g in gaps):
            if gap - previous > 4:
                rings.append(stroke(path[previous:gap], width * 0.4, width))
            previous = gap + 2
    canvas.fill(rings, colour, 0.8)


def _hill(canvas: Canvas, random: Random, ink: Rgb, strong: Rgb, scene: Scene) -> None:
    w, h = canvas.width, canvas.height
    for layer, colour in enumerate((strong, ink)):
        line = (0.47 + 0.06 * layer + ridge(random, w, 2.0) * 0.035) * h
        if scene.place == "sea":
            t = np.linspace(0, 1, w) * w / canvas.short
            line = (0.47 + 0.06 * layer + 0.012 * np.abs(np.sin(t * 22 + layer))) * h
        rows = np.arange(h, dtype=np.float32)[:, None]
        alpha = np.clip(rows - line[None, :] + 0.5, 0, 1).astype(np.float32)
        canvas.paint(Mask(0, 0, alpha), colour)


def _weather(canvas: Canvas, scene: Scene, random: Random, ink: Rgb) -> None:
    w, h, unit = canvas.width, canvas.height, canvas.short
    if scene.weather in ("rain", "storm"):
        drops = [stroke(np.array([(x * w, y * h), (x * w - unit * 0.015, y * h + unit * 0.07)]),
                        unit * 0.001, unit * 0.005) for x, y in random.random((90, 2))]  # fmt: skip
        canvas.fill(drops, ink)
    if scene.weather == "snow":
        canvas.fill(
            [circle(x * w, y * h, unit * 0.007, 16) for x, y in random.random((120, 2))], ink
        )


def _figure(
    canvas: Canvas, random: Random, subject: Subject, order: int, copy: int,
    inks: tuple[Rgb, Rgb, Rgb],
) -> None:  # fmt: skip
    """A thing in flat inks, standing on the hill or hanging above it."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    ground, ink, strong = inks
    motif = motifs.make(subject.motif, random)
    lead = order == 0 and subject.count == 1
    size = unit * (0.43 if lead else 0.3 if order == 0 else 0.22) * motif.size**0.15
    x = w * (0.5 + float(random.uniform(-0.07, 0.07)))
    if subject.count > 1:
        x = w * (copy + 0.7) / (min(subject.count, 5) + 0.4)
    elif order:
        x = w * (0.2 if order == 1 else 0.82)
    y = h * 0.5 if motif.anchor != "air" else h * 0.27 + unit * float(random.uniform(-0.05, 0.05))
    placed = Placed(motif, subject, x, y, size, mirror=bool(random.random() < 0.5))
    top = bounds(placed.outlines())[1]
    if top < h * 0.02:
        placed = replace(placed, size=size * (y - h * 0.03) / max(y - top, 1))
    main = named(subject.colour) if subject.colour else strong
    flat = {"main": main, "second": ink, "accent": ground, "stem": ink, "leaf": ink, "dark": ink,
            "light": ground, "glow": ground}  # fmt: skip
    outline = canvas.mask(placed.outlines(), pad=unit * 0.03)
    if outline is not None:
        rim = outline.blurred(unit * 0.0065)
        canvas.paint(Mask(rim.x, rim.y, np.clip((rim.alpha - 0.1) * 10, 0, 1)), ground)
    for shape, outlines in zip(motif.shapes, placed.by_shape(), strict=True):
        canvas.fill(outlines, flat[shape.role])
    _engrave(canvas, placed, ink, unit)


def _engrave(canvas: Canvas, placed: Placed, ink: Rgb, unit: int) -> None:
    """Lines of shadow along one side of the main shapes."""
    outlines = [o for shape, group in zip(placed.motif.shapes, placed.by_shape(), strict=True)
                if shape.role == "main" for o in group]  # fmt: skip
    mask = canvas.mask(outlines, pad=1)
    if mask is None or mask.alpha.shape[1] < 8:
        return
    mh, mw = mask.alpha.shape
    ys = np.arange(mh, dtype=np.float32)[:, None]
    xs = np.arange(mw, dtype=np.float32)[None, :]
    pitch = max(4.0, unit * 0.013)
    wave = np.abs(((xs + ys * 0.5) / pitch) % 1 - 0.5) * pitch
    width = np.clip((xs / mw - 0.42) * 0.62, 0, 0.34) * pitch
    lines = np.clip(width - wave + 0.5, 0, 1) * (width > 0)
    canvas.paint(Mask(mask.x, mask.y, mask.alpha * lines.astype(np.float32)), ink)
