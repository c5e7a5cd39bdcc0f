"""Sky and air: what is behind and in front of the things of a scene."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.media.backends.builtin.canvas import Canvas, Mask, Pixels
from services.media.backends.builtin.geometry import Points, circle, ellipse, polygon, stroke
from services.media.backends.builtin.noise import Random, fbm, grain, ridge, warped
from services.media.backends.builtin.palette import Palette, gradient, lighter, mix, oklch
from services.media.backends.builtin.words import Scene


def paint_sky(
    canvas: Canvas, scene: Scene, palette: Palette, random: Random, horizon: float, sun_x: float
) -> tuple[float, float]:
    """Paint the whole canvas as sky; returns where the sun or moon stands, in pixels.

    `sun_x` is in parts of the width.
    """
    w, h = canvas.width, canvas.height
    clouds = warped(random, h, w, 2.2, 0.9)
    t = canvas.rows() / max(horizon, 0.1) + (clouds - 0.5) * np.float32(0.42)
    canvas.pixels[:] = gradient(palette.sky, t)
    x, y = _paint_body(canvas, scene, palette, random, horizon, sun_x)
    amount = {"rain": 0.8, "storm": 0.9, "fog": 0.5, "snow": 0.6}.get(scene.weather or "", 0.55)
    veil = np.clip((clouds - 0.55) * 2.6, 0, 1) * np.clip(1.15 - canvas.rows() / horizon, 0, 1)
    tint = lighter(palette.sky[2], 0.35) if palette.time != "night" else palette.sky[2]
    if scene.weather in ("rain", "storm"):
        tint = lighter(palette.sky[0], -0.25)
    canvas.paint(Mask(0, 0, veil * np.float32(amount)), tint)
    return x, y


def _paint_body(
    canvas: Canvas, scene: Scene, palette: Palette, random: Random, horizon: float, sun_x: float
) -> tuple[float, float]:
    w, h = canvas.width, canvas.height
    x = w * (sun_x + float(random.uniform(-0.08, 0.08)))
    night = palette.time == "night"
    wanted = any(s.motif in ("sun", "moon") for s in scene.subjects)
    y = h * horizon * {"dusk": 0.74, "dawn": 0.68}.get(palette.time, 0.3)
    r = canvas.short * (0.13 if wanted else 0.075)
    if night:
        _paint_stars(canvas, random, horizon, 500 if scene.place == "space" else 170)
    # In space a planet takes its place.
    covered = scene.weather in ("rain", "storm", "fog", "snow") or scene.place == "space"
    hidden = covered and not wanted
    colour = oklch(0.95, 0.05, 95) if night else oklch(0.97, 0.09, 88)
    if palette.time == "dusk":
        colour = oklch(0.95, 0.11, 90)
    canvas.glow(x, y, r / canvas.short * (3.6 if night else 5.0), colour, 0.35 if hidden else 0.55)
    if hidden:
        return x, y
    canvas.fill(circle(x, y, r), colour, 0.98, blur=max(0.4, r * 0.012))
    if night:
        spots = [circle(x + r * dx, y + r * dy, r * s, 24) for dx, dy, s in
                 ((-0.3, -0.2, 0.2), (0.25, 0.3, 0.26), (0.3, -0.35, 0.13), (-0.2, 0.42,
                 0.12))]  # fmt: skip
        canvas.fill(spots, lighter(colour, -0.35), 0.16, blur=r * 0.04)
    return x, y


def _paint_stars(canvas: Canvas, random: Random, horizon: float, count: int) -> None:
    w, h, unit = canvas.width, canvas.height, canvas.short / 1000
    xs, ys = random.random(count) * w, random.random(count) ** 1.2 * h * horizon
    sizes = (0.5 + 2.4 * random.random(count) ** 6) * max(unit, 0.35)
    dots: list[Points] = [circle(x, y, s, 10) for x, y, s in zip(xs, ys, sizes, strict=True)]
    canvas.fill(dots, (0.95, 0.96, 1.0), 0.85)


def paint_hills(
    canvas: Canvas,
    palette: Palette,
    random: Random,
    horizon: float,
    *,
    layers: int = 5,
    height: float = 0.09,
    cells: float = 2.5,
    start: float = 0.0,
) -> None:
    """Ridge behind ridge, the far ones in haze; they begin at the horizon and end in front."""
    w, h = canvas.width, canvas.height
    wash = fbm(random, h, w, 5, 4, stretch=2.5) - 0.5
    for layer in range(layers):
        near = layer / max(1, layers - 1)
        depth = start + (1 - start) * near
        base = horizon - 0.015 + (1 - horizon) * near**1.5 * 0.62
        swing = height * (1.1 - 0.5 * near)
        line = (base + ridge(random, w, cells * (1.2 - 0.5 * near)) * swing) * h
        top = max(0, int(line.min()) - 1)
        if top >= h:
            continue
        rows = np.arange(top, h, dtype=np.float32)[:, None]
        alpha = np.clip(rows - line[None, :] + 0.5, 0, 1)
        fall = np.clip((rows - line[None, :]) / (h * 0.22), 0, 1)
        colour = mix(palette.haze, palette.ground, depth**0.8)
        crest, foot = (
            lighter(mix(colour, palette.sky[2], 0.28), 0.12),
            lighter(colour, -0.2 * depth),
        )
        tone = np.clip(fall + wash[top:, :: 1 if layer % 2 else -1] * 0.75, 0, 1)
        canvas.paint(Mask(0, top, alpha), gradient((crest, colour, foot), tone))


def paint_grass(
    canvas: Canvas, palette: Palette, random: Random, horizon: float, *, flowers: bool = True
) -> None:
    """Blades in three tones over the foreground, and the dots of small flowers."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    for band in range(4):
        depth = 0.3 + 0.233 * band
        count = 420
        y0 = h * (horizon + (1 - horizon) * (0.35 + 0.2 * band))
        xs = random.random(count) * w * 1.04 - w * 0.02
        ys = y0 + random.random(count) * h * (1 - horizon) * 0.28
        highs = unit * 0.085 * depth * (0.4 + random.random(count))
        leans = highs * (random.random(count) - 0.4) * 0.8
        wide = max(0.6, unit * 0.0042 * depth)
        blades = [
            polygon((x - wide, y), (x + lean * 0.45 - wide * 0.4, y - high * 0.6),
                    (x + lean, y - high), (x + lean * 0.4 + wide * 0.5, y - high * 0.55),
                    (x + wide, y))
            for x, y, high, lean in zip(xs, ys, highs, leans, strict=True)
        ]  # fmt: skip
        tones = (lighter(palette.ground, -0.32), lighter(palette.ground, 0.16), palette.ground)
        for tone in range(3):
            canvas.fill(blades[tone::3], tones[(tone + band) % 3], 0.75)
        if flowers:
            dots = int(26 - band * 4)
            for tint in range(3):
                spots = [
                    ellipse(float(random.random()) * w, y0 + float(random.random()) * h * 0.08,
                            unit * 0.006 * depth * 1.6, unit * 0.005 * depth * 1.6, 0, 14)
                    for _ in range(dots // 3)
                ]  # fmt: skip
                canvas.fill(spots, lighter(palette.accent(tint), 0.25), 0.95)


def paint_sea(
    canvas: Canvas, palette: Palette, random: Random, horizon: float, sun: tuple[float, float]
) -> None:
    """Water in perspective, with the light of the sun on it."""
    w, h = canvas.width, canvas.height
    top = min(h - 2, int(h * horizon))
    rows = np.arange(top, h, dtype=np.float32)[:, None]
    near = (rows - top) / max(1, h - top)
    field = fbm(random, 512, 1024, 14, 4)
    away = 1 / (near + 0.03)
    # Perspective: the same ripples, narrower and closer together the further away.
    xs = (np.arange(w, dtype=np.float32)[None, :] - w / 2) / canvas.short
    wobble = ridge(random, w, 9)[None, :] * 6 * near
    v = _zigzag(away * 190 + wobble * 4, 512)
    u = _zigzag(xs * (230 + 90 * away) + 8000, 1024)
    ripple = field[v, u] - 0.5
    far = mix(palette.sky[2], palette.ground, 0.35)
    tone = np.clip(near**0.55 + ripple * (0.25 + 0.35 * near), 0, 1)
    water: Pixels = gradient((far, palette.ground, lighter(palette.ground, -0.45)), tone)
    spread = 0.05 + 0.16 * near
    column = np.exp(
        -(((np.arange(w, dtype=np.float32)[None, :] - sun[0]) / canvas.short / spread) ** 2)
    )
    sparkle = np.clip((ripple + 0.12 + 0.1 * (1 - near)) * 5, 0, 1) * column
    shine = np.asarray(lighter(mix(palette.sky[2], (1.0, 0.9, 0.7), 0.5), 0.2), dtype=np.float32)
    water += (shine - water) * (sparkle * np.float32(0.85))[..., None]
    crests = np.clip((ripple - 0.3) * 7, 0, 1) * near
    water += (1 - water) * (crests * np.float32(0.28))[..., None]
    canvas.pixels[top:] = water


def _zigzag(index: NDArray[Any], size: int) -> NDArray[np.int32]:
    """Whole numbers below size that go up and down again, so that nothing jumps."""
    whole = np.floor(index).astype(np.int32) % (2 * size - 2)
    folded: NDArray[np.int32] = np.minimum(whole, 2 * size - 2 - whole)
    return folded


def paint_weather(
    canvas: Canvas, scene: Scene, palette: Palette, random: Random, horizon: float
) -> None:
    """Rain, snow, fog or lightning in front of everything."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    if scene.weather in ("rain", "storm") and canvas.holds_weather:
        slant = float(random.uniform(0.12, 0.3)) * (1 if random.random() < 0.5 else -1)
        for length, wide, count, alpha in ((0.05, 0.0012, 420, 0.32), (0.11, 0.0022, 150, 0.4)):
            drops = []
            for x, y, k in random.random((count, 3)):
                x0, y0, high = (
                    x * w * 1.2 - w * 0.1,
                    y * h * 1.1 - h * 0.1,
                    unit * length * (0.6 + k),
                )
                drops.append(stroke([(x0, y0), (x0 + high * slant, y0 + high)],
                                    max(0.3, unit * wide * 0.4), max(0.5,
                                    unit * wide)))  # fmt: skip
            canvas.fill(drops, lighter(palette.sky[2], 0.6), alpha)
        rings = []
        for x, y in random.random((40, 2)):
            r = unit * 0.022 * (0.4 + y)
            at = (float(x * w), float(h * (horizon + 0.12 + (0.88 - horizon) * y)))
            rings.append(_ring(at, r, max(0.5, unit * 0.0016)))
        canvas.fill([o for o in rings], lighter(palette.sky[2], 0.5), 0.4)
    if scene.weather == "storm":
        _paint_lightning(canvas, random, horizon)
    if scene.weather == "snow" and canvas.holds_weather:
        for size, count in ((0.003, 420), (0.006, 130), (0.012, 26)):
            flakes = [circle(x * w, y * h, max(0.5, unit * size * (0.6 + k)), 12)
                      for x, y, k in random.random((count, 3))]  # fmt: skip
            canvas.fill(flakes, (1.0, 1.0, 1.0), 0.85, blur=unit * size * 0.35)
    if scene.weather == "fog":
        banks = fbm(random, h, w, 2, 4, stretch=3.5)
        band = np.exp(-(((canvas.rows() - horizon - 0.08) / 0.3) ** 2))
        canvas.paint(Mask(0, 0, np.clip(banks * band * 1.15, 0, 0.78)), lighter(palette.haze, 0.35))


def _ring(at: tuple[float, float], r: float, wide: float) -> Points:
    outer = ellipse(*at, r, r * 0.35, 0, 28)
    inner = ellipse(*at, r - wide, r * 0.35 - wide, 0, 28)
    return np.vstack([outer, outer[:1], inner[:1], inner[::-1]])


def _paint_lightning(canvas: Canvas, random: Random, horizon: float) -> None:
    w, h = canvas.width, canvas.height
    x, y = w * float(random.uniform(0.25, 0.75)), 0.0
    path = [(x, y)]
    while y < h * horizon:
        x += w * float(random.uniform(-0.05, 0.05))
        y += h * float(random.uniform(0.03, 0.08))
        path.append((x, y))
    bolt = stroke(path, canvas.short * 0.012, canvas.short * 0.002)
    canvas.fill(bolt, (0.8, 0.8, 1.0), 0.8, blur=canvas.short * 0.02)
    canvas.fill(bolt, (1.0, 1.0, 0.95))


def finish(canvas: Canvas, random: Random, *, tooth: float = 0.012, vignette: float = 0.4) -> None:
    """Grain and a little darkness towards the corners."""
    canvas.vignette(vignette, (0.05, 0.03, 0.1))
    canvas.texture(grain(random, canvas.height, canvas.width), tooth)
