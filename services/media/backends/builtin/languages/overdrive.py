"""Overdrive: rays, echoes, saturation, glow; more of everything until it tips over."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter

from services.media.backends.builtin import motifs
from services.media.backends.builtin.canvas import Canvas, Mask, Pixels, Rgb, levels
from services.media.backends.builtin.geometry import Points, bounds, circle, place, star
from services.media.backends.builtin.noise import Random, fbm
from services.media.backends.builtin.painting import Placed, paint_motif, role_colours
from services.media.backends.builtin.palette import (
    Palette,
    gradient,
    oklch,
    palette_for,
)
from services.media.backends.builtin.prints import halftone
from services.media.backends.builtin.scenery import paint_weather
from services.media.backends.builtin.words import Scene, Subject

ECHOES = 9


def draw(canvas: Canvas, scene: Scene, random: Random) -> None:
    """Turn it up."""
    w, h = canvas.width, canvas.height
    start = float(random.uniform(0, 360))
    rainbow = tuple(oklch(0.7, 0.27, start + step * 45) for step in range(8))
    palette = replace(
        palette_for(replace(scene, mood="joyful", weather=None), random),
        accents=tuple(oklch(0.68, 0.28, start + step * 97) for step in range(6)),
        dull=False,
        time="day",
    )
    x, y = w * float(random.uniform(0.42, 0.58)), h * float(random.uniform(0.44, 0.54))
    _rays(canvas, random, rainbow, x, y, night=scene.time == "night")
    _dots(canvas, x, y)
    subjects = scene.subjects or (Subject(str(random.choice(["star", "eye", "sun", "heart"]))),)
    _swarm(canvas, random, subjects, palette)
    _echoes(canvas, random, subjects[0], palette, rainbow, x, y)
    if scene.weather:
        paint_weather(canvas, scene, palette, random, 0.7)
    _sparks(canvas, random, x, y)
    _bloom(canvas)
    _split(canvas)


def _rays(
    canvas: Canvas, random: Random, rainbow: tuple[Rgb, ...], x: float, y: float, *, night: bool
) -> None:
    w, h = canvas.width, canvas.height
    dx = np.arange(w, dtype=np.float32)[None, :] - np.float32(x)
    dy = np.arange(h, dtype=np.float32)[:, None] - np.float32(y)
    far = canvas.distance(x, y)
    swirl = fbm(random, h, w, 3, 3) - 0.5
    turn = np.arctan2(dy, dx) / np.float32(2 * math.pi) + far * np.float32(0.16) + swirl * 0.05
    count = int(random.choice([10, 12, 16]))
    wheel = (turn * count) % 1.0
    colours: Pixels = gradient((*rainbow, rainbow[0]), (turn * 2 + far * 0.35) % 1.0)
    bright = np.where(wheel < 0.5, np.float32(1.0), np.float32(0.22 if night else 0.5))
    # Soft edges of about a pixel, whatever the distance.
    soft = np.clip(np.abs((wheel % 0.5) - 0.25) * -1 + 0.25, 0, 1) * far * canvas.short / count * 6
    bright = np.where(soft < 1, bright * soft + (1 - soft) * bright.mean(), bright)
    canvas.pixels[:] = colours * bright[..., None]
    canvas.glow(x, y, 0.42, (1.0, 0.97, 0.75), 0.9)


def _dots(canvas: Canvas, x: float, y: float) -> None:
    """A comic's raster towards the corners."""
    tone = np.clip(canvas.distance(x, y) * 0.95 - 0.42, 0, 0.62)
    dots = halftone(tone, max(3.0, canvas.short * 0.022), 30)
    canvas.paint(Mask(0, 0, dots), (0.07, 0.02, 0.16), 0.8)


def _swarm(canvas: Canvas, random: Random, subjects: tuple[Subject, ...], palette: Palette) -> None:
    """Everything several times, at every size and angle."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    total = min(26, 9 + 3 * sum(subject.count for subject in subjects))
    for index in range(total):
        subject = subjects[index % len(subjects)]
        motif = motifs.make(subject.motif, random)
        angle = index * 2.39996 + float(random.uniform(-0.3, 0.3))
        reach = 0.34 + 0.36 * math.sqrt((index + 1) / total)
        x, y = (
            w / 2 + math.cos(angle) * reach * w * 0.72,
            h / 2 + math.sin(angle) * reach * h * 0.72,
        )
        size = unit * float(random.uniform(0.13, 0.24))
        placed = Placed(motif, subject, x, y, size, float(random.uniform(-0.7, 0.7)),
                        bool(random.random() < 0.5), index=index)  # fmt: skip
        colours = role_colours(placed, palette) | {"main": palette.accent(index)}
        outline = canvas.mask(placed.outlines(), pad=unit * 0.03)
        if outline is not None:
            rim = outline.blurred(unit * 0.006)
            sticker = Mask(rim.x, rim.y, np.clip((rim.alpha - 0.08) * 12, 0, 1))
            canvas.paint(sticker, (1.0, 1.0, 1.0))
        paint_motif(canvas, placed, colours, volume=0.85)


def _echoes(
    canvas: Canvas, random: Random, subject: Subject, palette: Palette, rainbow: tuple[Rgb, ...],
    x: float, y: float,
) -> None:  # fmt: skip
    """The first thing in the middle, with rings of its own outline."""
    motif = motifs.make(subject.motif, random)
    left, top, right, bottom = bounds([o for shape in motif.shapes for o in shape.outlines])
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    size = canvas.short * 0.62 / max(right - left, bottom - top)
    angle = float(random.uniform(-0.16, 0.16))
    flip = bool(random.random() < 0.5)
    whole: list[Points] = [o - middle for shape in motif.shapes for o in shape.outlines]
    base = canvas.mask([place(o, x, y, size, angle, mirror=flip) for o in whole],
                       pad=canvas.short * 0.2)  # fmt: skip
    if base is not None:
        for ring in range(ECHOES, 0, -1):
            reach = canvas.short * 0.0095 * ring
            soft = base.blurred(reach)
            edge = np.clip((soft.alpha - 0.035) * (10 + ring * 3), 0, 1)
            canvas.paint(Mask(base.x, base.y, edge), rainbow[ring % len(rainbow)] if ring > 1
                         else (1.0, 1.0, 1.0))  # fmt: skip
    offset = place(middle[None, :], 0, 0, size, angle, mirror=flip)[0]
    lead = Placed(motif, subject, x - float(offset[0]), y - float(offset[1]), size, angle, flip)
    colours = role_colours(lead, palette)
    colours = {role: _vivid(colour) for role, colour in colours.items()}
    paint_motif(canvas, lead, colours, volume=1.0)


def _vivid(colour: Rgb) -> Rgb:
    grey = sum(colour) / 3
    r, g, b = (min(1.0, max(0.0, grey + (c - grey) * 1.7)) for c in colour)
    return (r, g, b)


def _sparks(canvas: Canvas, random: Random, x: float, y: float) -> None:
    w, h, unit = canvas.width, canvas.height, canvas.short
    sparks: list[Points] = []
    for _ in range(46):
        sx, sy = float(random.random()) * w, float(random.random()) * h
        r = unit * 0.038 * float(random.random()) ** 2 + unit * 0.005
        sparks += [star(sx, sy, r, r * 0.16, 4, float(random.uniform(-0.2, 0.2))),
                   circle(sx, sy, r * 0.22, 16)]  # fmt: skip
    canvas.fill(sparks, (1.0, 1.0, 0.85), 0.6, blur=unit * 0.006, mode="screen")
    canvas.fill(sparks, (1.0, 1.0, 0.95))


def _bloom(canvas: Canvas) -> None:
    """Bright parts bleed into their surroundings."""
    bright = np.clip(canvas.pixels * 1.5 - 0.75, 0, 1)
    small = Image.fromarray((bright[::4, ::4] * 255).astype(np.uint8))
    soft = small.filter(ImageFilter.GaussianBlur(canvas.short * 0.009))
    glow = levels(soft.resize((canvas.width, canvas.height), Image.Resampling.BICUBIC))
    canvas.pixels = 1 - (1 - canvas.pixels) * (1 - glow * np.float32(0.42))


def _split(canvas: Canvas) -> None:
    """Red and blue drift apart, as on an overdriven screen."""
    step = max(1, round(canvas.short * 0.0035))
    red, blue = canvas.pixels[..., 0].copy(), canvas.pixels[..., 2].copy()
    canvas.pixels[:, step:, 0] = red[:, :-step]
    canvas.pixels[:, :-step, 2] = blue[:, step:]
    canvas.pixels = np.clip((canvas.pixels - 0.5) * np.float32(1.12) + np.float32(0.5), 0, 1)
