"""Renaissance: sfumato, far blue mountains, one light from the left, a ledge, old varnish."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from services.media.backends.builtin.canvas import Canvas, Mask, Rgb
from services.media.backends.builtin.geometry import (
    Points,
    arc_band,
    bounds,
    circle,
    ellipse,
    rectangle,
    smooth,
    stroke,
)
from services.media.backends.builtin.noise import Field, Random, fbm, grain, resize, warped
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
from services.media.backends.builtin.scenery import paint_hills, paint_weather
from services.media.backends.builtin.words import Scene, Subject

UMBER, GOLD = oklch(0.26, 0.045, 60), oklch(0.76, 0.12, 85)
STONE = oklch(0.52, 0.035, 70)
VERDIGRIS = oklch(0.46, 0.07, 150)
PIGMENTS = (oklch(0.46, 0.13, 28), oklch(0.42, 0.08, 240), oklch(0.68, 0.11, 78),
            VERDIGRIS, oklch(0.5, 0.09, 350))  # fmt: skip


def draw(canvas: Canvas, scene: Scene, random: Random) -> None:
    """Paint the panel."""
    palette = _pigments(scene, palette_for(scene, random), random)
    horizon = float(random.uniform(0.46, 0.54))
    _vista(canvas, scene, palette, random, horizon)
    if not scene.subjects:
        scene = replace(scene, subjects=(Subject("person"),))
    arch = bool(random.random() < 0.7)
    golden = float(random.choice([0.382, 0.618]))
    placed = arrange(scene, random, canvas, 0.72, golden=golden, skip=frozenset({"city"}),
                     scale=1.05,
                     margin=0.13 if arch else 0.06)  # fmt: skip
    ledge = canvas.height * 0.865
    _trees(canvas, palette, random, horizon)
    _geometry(canvas, placed)
    _ledge(canvas, random, ledge)
    for one in placed:
        _paint(canvas, one, palette, ledge)
    if scene.weather != "fog":  # its air is hazy by itself
        paint_weather(canvas, scene, palette, random, horizon)
    if arch:
        _arch(canvas, random)
    _age(canvas, random)


def _pigments(scene: Scene, palette: Palette, random: Random) -> Palette:
    """Colours there were tubes of, or rather shells: earths, lapis, lead-tin yellow."""
    order = [PIGMENTS[int(i)] for i in random.permutation(len(PIGMENTS))]
    if order[0] is VERDIGRIS:
        # What leads must not vanish among hills and leaves.
        order.append(order.pop(0))
    named = [mix(c, UMBER, 0.25) for c in palette.accents[: len(scene.colours)]]
    dim = {"night": 0.5, "dusk": 0.8}.get(palette.time, 1.0)
    sky = (oklch(0.5 * dim, 0.06, 235), oklch(0.74 * dim, 0.045, 205),
           oklch(0.89 * (dim + 1) / 2, 0.075, 82))  # fmt: skip
    if palette.time == "dusk":
        sky = (sky[0], oklch(0.66, 0.07, 60), oklch(0.84, 0.12, 70))
    return replace(
        palette,
        sky=sky,
        haze=oklch(0.72 * dim, 0.045, 215),
        ground=oklch(0.42 * dim, 0.06, 105),
        accents=(*named, *order),
        light=oklch(0.9, 0.05, 82),
        dark=oklch(0.2, 0.03, 50),
        dull=True,
    )


def _vista(canvas: Canvas, scene: Scene, palette: Palette, random: Random, horizon: float) -> None:
    w, h = canvas.width, canvas.height
    clouds = warped(random, h, w, 2.4, 0.7)
    canvas.pixels[:] = gradient(palette.sky, canvas.rows() / horizon + (clouds - 0.5) * 0.35)
    canvas.glow(w * 0.3, h * horizon, 0.55, oklch(0.92, 0.1, 82), 0.5)
    # Far mountains, bluer and softer the further away (Leonardo's aerial perspective).
    far = replace(palette, ground=oklch(0.52, 0.05, 210))
    paint_hills(canvas, far, random, horizon - 0.1, layers=3, height=0.17, cells=5, start=0.1)
    if scene.place == "sea":
        _sea(canvas, palette, random, horizon)
    else:
        paint_hills(canvas, palette, random, horizon + 0.03, layers=4, height=0.07, cells=2.2,
                    start=0.3)  # fmt: skip
        _river(canvas, palette, random, horizon)
    if scene.place == "city" or any(s.motif == "city" for s in scene.subjects):
        _town(canvas, random, horizon, palette)


def _sea(canvas: Canvas, palette: Palette, random: Random, horizon: float) -> None:
    """Still water that takes the colour of the sky, darker in front."""
    w, h = canvas.width, canvas.height
    mask = canvas.mask([rectangle(0, h * (horizon + 0.01), w, h)])
    if mask is None:
        return
    mh, mw = mask.alpha.shape
    ripple = fbm(random, mh, mw, 4, 5, stretch=9.0) - 0.5
    tone = np.linspace(0, 1, mh, dtype=np.float32)[:, None] ** 0.7 + ripple * 0.45
    far = mix(palette.sky[2], palette.sky[1], 0.3)
    canvas.paint(mask, gradient((far, mix(palette.sky[0], palette.haze, 0.4),
                                 lighter(palette.sky[0], -0.35)), tone))  # fmt: skip


def _river(canvas: Canvas, palette: Palette, random: Random, horizon: float) -> None:
    w, h, unit = canvas.width, canvas.height, canvas.short
    side = 1 if random.random() < 0.5 else -1
    x = w * float(random.uniform(0.35, 0.65))
    path = []
    for step in range(9):
        t = step / 8
        swing = math.sin(t * 9) * unit * (0.015 + 0.13 * t)
        path.append((x + side * swing, h * (horizon + 0.02 + (0.93 - horizon) * t**1.35)))
    bend = smooth(path, closed=False)
    canvas.fill(stroke(bend, unit * 0.004, unit * 0.12), mix(palette.sky[1], palette.sky[2], 0.45),
                0.75, blur=unit * 0.005)  # fmt: skip
    canvas.fill(stroke(bend, unit * 0.001, unit * 0.05), palette.sky[2], 0.5, blur=unit * 0.008)


def _town(canvas: Canvas, random: Random, horizon: float, palette: Palette) -> None:
    w, h, unit = canvas.width, canvas.height, canvas.short
    walls, roofs = [], []
    for index in range(16):
        x = w * (0.58 + 0.022 * index)
        high = unit * float(random.uniform(0.03, 0.15))
        wide = unit * float(random.uniform(0.02, 0.045))
        foot = h * (horizon + 0.035)
        walls.append(rectangle(x, foot - high, x + wide, foot))
        roofs.append(np.array([(x - 2, foot - high), (x + wide / 2, foot - high - wide * 0.6),
                               (x + wide + 2, foot - high)]))  # fmt: skip
    canvas.fill(walls, mix(palette.haze, oklch(0.7, 0.06, 70), 0.6), 0.9, blur=unit * 0.0016)
    canvas.fill(roofs, mix(palette.haze, PIGMENTS[0], 0.5), 0.9, blur=unit * 0.0016)


def _trees(canvas: Canvas, palette: Palette, random: Random, horizon: float) -> None:
    """Slender trees with airy crowns at the sides, dabbed."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    for x in (float(random.uniform(0.04, 0.13)), float(random.uniform(0.88, 0.97))):
        foot, top = h * 0.86, h * float(random.uniform(0.2, 0.34))
        lean = unit * float(random.uniform(-0.02, 0.02))
        trunk = smooth(
            [(x * w, foot), (x * w + lean, (foot + top) / 2), (x * w, top)], closed=False
        )
        canvas.fill(stroke(trunk, unit * 0.014, unit * 0.004), UMBER, 0.9, blur=unit * 0.001)
        clumps = [(float(random.normal(0, 0.035)), float(random.uniform(-0.07, 0.2)),
                   float(random.uniform(0.03, 0.06))) for _ in range(9)]  # fmt: skip
        for tone in range(3):
            dabs = []
            for index in range(330):
                dx, dy, size = clumps[index % len(clumps)]
                angle, r = float(random.uniform(0, 2 * math.pi)), math.sqrt(float(random.random()))
                cx = x * w + (dx + math.cos(angle) * r * size - tone * 0.006) * unit
                cy = top + h * 0.04 + (dy + math.sin(angle) * r * size * 0.7 - tone * 0.008) * unit
                dabs.append(ellipse(cx, cy, unit * 0.006, unit * 0.0035, angle, 10))
            colour = mix(oklch(0.24, 0.035, 125), oklch(0.6, 0.09, 100), tone * 0.42)
            canvas.fill(dabs, colour, 0.75 - tone * 0.18, blur=unit * 0.0015)


def _geometry(canvas: Canvas, placed: list[Placed]) -> None:
    """The circle and the square of good proportion, faintly, around what leads."""
    if not placed:
        return
    left, top, right, bottom = bounds(placed[-1].outlines())
    x, y, r = (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top) * 0.62
    thin = max(0.6, canvas.short * 0.0016)
    ring = arc_band(x, y, r, thin, 0, 2 * math.pi, 128)
    side = r * 0.886
    frame: list[Points] = [
        rectangle(x - side, y - side, x + side, y - side + thin),
        rectangle(x - side, y + side, x + side, y + side + thin),
        rectangle(x - side, y - side, x - side + thin, y + side),
        rectangle(x + side, y - side, x + side + thin, y + side),
    ]
    canvas.fill(circle(x, y, r), oklch(0.93, 0.08, 85), 0.16, blur=r * 0.12)
    canvas.fill([ring, *frame], GOLD, 0.5)


def _ledge(canvas: Canvas, random: Random, y: float) -> None:
    """A stone parapet, as in portraits of the time."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    mask = canvas.mask([rectangle(0, y, w, h)])
    if mask is None:
        return
    stone = fbm(random, mask.alpha.shape[0], mask.alpha.shape[1], 6, 5, stretch=2.0)
    canvas.paint(mask, gradient((lighter(STONE, -0.55), STONE, lighter(STONE, 0.15)), stone))
    canvas.fill(rectangle(0, y, w, y + unit * 0.012), lighter(STONE, 0.4), 0.75, blur=unit * 0.002)
    canvas.fill(rectangle(0, y + unit * 0.016, w, y + unit * 0.045), UMBER, 0.55, blur=unit * 0.012)


def _paint(canvas: Canvas, placed: Placed, palette: Palette, ledge: float) -> None:
    if placed.motif.anchor != "air":
        placed = replace(placed, y=ledge + canvas.short * 0.006)
    colours: dict[str, Rgb] = {
        role: mix(colour, UMBER, 0.16) for role, colour in role_colours(placed, palette).items()
    }
    shadow(canvas, placed, UMBER, 0.75)
    paint_motif(canvas, placed, colours, volume=1.0, haze=palette.haze,
                softness=canvas.short * 0.0012, light=(-0.85, -0.5))  # fmt: skip


def _arch(canvas: Canvas, random: Random) -> None:
    """A dark loggia that frames the view."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    rim = unit * 0.07
    spring = h * 0.33
    ys = np.arange(h, dtype=np.float32)[:, None]
    xs = np.arange(w, dtype=np.float32)[None, :]
    half = w / 2 - rim
    rise = spring - rim
    inside = ((xs - w / 2) / half) ** 2 + (np.minimum(ys - spring, 0) / rise) ** 2
    edge = np.clip((inside - 1) * half / 2 + 0.5, 0, 1).astype(np.float32)
    stone = fbm(random, h, w, 5, 4) - 0.5
    wall = gradient((lighter(UMBER, -0.35), UMBER, lighter(STONE, -0.35)),
                    0.45 + stone * 0.5 - 0.3 * xs / w)  # fmt: skip
    canvas.paint(Mask(0, 0, edge).blurred(unit * 0.012), (0.08, 0.05, 0.03), 0.6)
    canvas.paint(Mask(0, 0, edge), wall)
    moulding = np.exp(-(((inside - 1.045) * 26) ** 2)).astype(np.float32)
    canvas.paint(Mask(0, 0, moulding), lighter(STONE, 0.05), 0.55)


def _age(canvas: Canvas, random: Random) -> None:
    """Varnish that has yellowed, and fine cracks."""
    h, w = canvas.height, canvas.width
    lines = resize(_cracks(random, h, w), h, w)
    wear = fbm(random, h, w, 3, 3)
    canvas.paint(Mask(0, 0, lines * np.clip(wear * 1.6 - 0.5, 0, 1) * np.float32(0.42)), UMBER)
    canvas.pixels *= np.asarray((1.0, 0.945, 0.815), dtype=np.float32)
    canvas.vignette(0.95, (0.06, 0.035, 0.02))
    canvas.texture(grain(random, h, w), 0.011)


def _cracks(random: Random, height: int, width: int) -> Field:
    """Edges between scattered cells, 1 on a crack (Worley's cellular noise)."""
    scale = min(1.0, 560 / max(height, width))
    h, w = max(8, round(height * scale)), max(8, round(width * scale))
    cell = min(h, w) / 44
    rows, columns = int(h / cell) + 4, int(w / cell) + 4
    jitter = random.random((rows, columns, 2), dtype=np.float32)
    ys = np.arange(h, dtype=np.float32)[:, None] / np.float32(cell) + 1
    xs = np.arange(w, dtype=np.float32)[None, :] / np.float32(cell) + 1
    wobble = fbm(random, h, w, 14, 2) * np.float32(0.5)
    ys, xs = ys + wobble, xs - wobble
    iy, ix = ys.astype(np.int32), xs.astype(np.int32)
    first = np.full((h, w), 9.0, np.float32)
    second = first.copy()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            cy, cx = np.clip(iy + dy, 0, rows - 1), np.clip(ix + dx, 0, columns - 1)
            point = jitter[cy, cx]
            away = (cy + point[..., 0] - ys) ** 2 + (cx + point[..., 1] - xs) ** 2
            second = np.minimum(second, np.maximum(first, away))
            first = np.minimum(first, away)
    cracks: Field = np.clip(1 - (np.sqrt(second) - np.sqrt(first)) * np.float32(cell / 1.6), 0, 1)
    return cracks
