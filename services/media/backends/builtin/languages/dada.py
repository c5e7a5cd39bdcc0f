"""Dada: torn paper, letters cut from the prompt, halftones, everything at an angle."""

from __future__ import annotations

import math

import numpy as np

from services.media.backends.builtin import motifs
from services.media.backends.builtin.canvas import Canvas, Mask, Rgb
from services.media.backends.builtin.geometry import (
    Points,
    bounds,
    circle,
    place,
    polygon,
    rectangle,
    stroke,
)
from services.media.backends.builtin.lettering import letters, turned
from services.media.backends.builtin.noise import Random, fbm
from services.media.backends.builtin.painting import modelled
from services.media.backends.builtin.palette import luminance, named, oklch
from services.media.backends.builtin.prints import drop_shadow, halftone, paper, stamp, torn
from services.media.backends.builtin.words import Scene, Subject

INK = oklch(0.2, 0.015, 50)
PAPERS = (
    oklch(0.93, 0.035, 85),
    oklch(0.86, 0.05, 78),
    oklch(0.9, 0.015, 95),
    oklch(0.8, 0.055, 70),
)
COLOURS = (oklch(0.56, 0.2, 29), oklch(0.8, 0.13, 85), oklch(0.47, 0.08, 235), oklch(0.55, 0.07,
160),
           INK, oklch(0.72, 0.09, 20))  # fmt: skip
MIN_TYPE_PIXELS = 5


def draw(canvas: Canvas, scene: Scene, random: Random) -> None:
    """Paste the collage."""
    paper(canvas, random, PAPERS[1], roughness=0.035)
    words = [w for w in scene.words if len(w) > 1] or list(scene.words) or ["dada"]
    colours = [*(named(c) for c in scene.colours), *COLOURS]
    _columns(canvas, random, words)
    for index in range(9):
        _scrap(canvas, random, colours, index, words)
    _wheel(canvas, random)
    _words(canvas, random, words)
    subjects = scene.subjects or (
        Subject(str(random.choice(["eye", "clock", "bird", "umbrella"]))),
    )
    turn = int(random.integers(3))
    for order, subject in reversed(list(enumerate(subjects[:3]))):
        for copy in reversed(range(min(subject.count, 5))):
            _cutout(canvas, random, subject, order, copy, colours[turn:])
    _ransom(canvas, random, words, colours)
    _marks(canvas, random, colours)
    canvas.texture(fbm(random, canvas.height, canvas.width, 7, 4) - 0.5, 0.05)
    canvas.vignette(0.35, (0.25, 0.15, 0.05))


def _columns(canvas: Canvas, random: Random, words: list[str]) -> None:
    """Newspaper: rows of short bars that read as type from afar."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    bars: list[Points] = []
    step = unit * 0.0135
    x = -unit * 0.02
    while x < w:
        wide = unit * 0.21
        for y in np.arange(0, h, step):
            at = x
            while at < x + wide - step:
                length = step * float(random.uniform(0.7, 3.2))
                bars.append(rectangle(at, y, min(at + length, x + wide), y + step * 0.4))
                at += length + step * 0.45
        x += wide + unit * 0.025
    canvas.fill([place(b, 0, 0, 1, 0.02) for b in bars], INK, 0.3)


def _quad(random: Random, x: float, y: float, wide: float, high: float, angle: float) -> Points:
    jitter = random.uniform(-0.09, 0.09, (4, 2))
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) + jitter
    return place(corners * (wide, high), x, y, 1, angle)


def _scrap(
    canvas: Canvas, random: Random, colours: list[Rgb], index: int, words: list[str]
) -> None:
    """One torn piece: plain, dotted, striped or printed with a word."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    x, y = float(random.random()) * w, float(random.random()) * h
    wide, high = unit * float(random.uniform(0.22, 0.55)), unit * float(random.uniform(0.14, 0.42))
    angle = float(random.normal(0, 0.35))
    outline = _quad(random, x, y, wide, high, angle)
    paper_edge = torn(outline, random, unit * 0.006)
    drop_shadow(canvas, paper_edge, unit * 0.006)
    canvas.fill(paper_edge, (0.96, 0.94, 0.9))
    centre = outline.mean(axis=0)
    inner = torn(centre + (outline - centre) * 0.975, random, unit * 0.0045)
    kind = index % 4
    colour = colours[int(random.integers(len(colours)))]
    ground = colour if kind in (0, 2) else PAPERS[int(random.integers(len(PAPERS)))]
    mask = canvas.mask([inner])
    if mask is None:
        return
    canvas.paint(mask, ground)
    mh, mw = mask.alpha.shape
    over = INK if luminance(ground) > 0.35 else PAPERS[0]
    if kind == 1:
        fall = np.linspace(0.05, 0.8, mw, dtype=np.float32)[None, :].repeat(mh, 0)
        dots = halftone(fall if random.random() < 0.5 else fall[:, ::-1], unit * 0.012)
        canvas.paint(Mask(mask.x, mask.y, mask.alpha * dots), colour)
    elif kind == 2:
        along = np.arange(mw, dtype=np.float32)[None, :] + np.arange(mh, dtype=np.float32)[:, None]
        lines = ((along / (unit * 0.02)) % 1 < 0.4).astype(np.float32)
        canvas.paint(Mask(mask.x, mask.y, mask.alpha * lines), over, 0.85)
    elif kind == 3:
        word = words[int(random.integers(len(words)))]
        ink = turned(letters(word.upper(), high * 0.9, weight=0.03), -math.degrees(angle))
        layer = np.zeros_like(mask.alpha)
        top, left = max(0, (mh - ink.shape[0]) // 2), max(0, (mw - ink.shape[1]) // 2)
        cut = ink[: mh - top, : mw - left]
        layer[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
        canvas.paint(Mask(mask.x, mask.y, mask.alpha * layer), over)


def _cutout(
    canvas: Canvas, random: Random, subject: Subject, order: int, copy: int, colours: list[Rgb]
) -> None:
    """The motif as a magazine cut-out: paper rim, halftone grey, one flat colour."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    motif = motifs.make(subject.motif, random)
    lead = order == 0 and copy == 0
    size = unit * (0.62 if lead else float(random.uniform(0.22, 0.36)))
    x, y = w * float(random.uniform(0.38, 0.62)), h * float(random.uniform(0.44, 0.54))
    if not lead:
        # Around what leads, not on it.
        around = 2.4 * (order * 2 + copy) + float(random.uniform(-0.5, 0.5))
        x, y = w * (0.5 + 0.36 * math.cos(around)), h * (0.5 + 0.36 * math.sin(around))
    angle = float(random.uniform(-0.35, 0.35))
    flip = bool(random.random() < 0.5)
    left, top, right, bottom = bounds([o for s in motif.shapes for o in s.outlines])
    if lead:
        size = min(size, w * 0.86 / (right - left), h * 0.86 / (bottom - top))
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    groups = [[place(o - middle, x, y, size, angle, mirror=flip) for o in s.outlines]
              for s in motif.shapes]  # fmt: skip
    every = [o for g in groups for o in g]
    whole = canvas.mask(every, pad=unit * 0.05)
    if whole is None:
        return
    rim = whole.blurred(unit * 0.011)
    cut = Mask(rim.x, rim.y, np.clip((rim.alpha - 0.06) * 14, 0, 1))
    off = round(unit * 0.009)
    soft = cut.blurred(unit * 0.009)
    stamp(canvas, soft.alpha, soft.x + soft.alpha.shape[1] / 2 + off,
          soft.y + soft.alpha.shape[0] / 2 + off, (0.1, 0.07, 0.05), 0.45)  # fmt: skip
    canvas.paint(cut, PAPERS[0])
    flat = named(subject.colour) if subject.colour else colours[(order + copy) % 3]
    for shape, group in zip(motif.shapes, groups, strict=True):
        mask = canvas.mask(group, pad=2)
        if mask is None:
            continue
        if shape.role in ("main", "leaf"):
            if shape.role == "main":
                canvas.paint(mask, flat, 0.92)
            grey = modelled(mask, (0.55, 0.55, 0.55), size * 0.06, 1.0, (-0.6, -0.8)).mean(axis=2)
            dots = halftone((1 - grey) * 0.95 - 0.24, unit * 0.0085)
            canvas.paint(Mask(mask.x, mask.y, mask.alpha * dots), INK, 0.92)
        else:
            tone = {"second": 0.72, "stem": 0.8, "accent": 0.12, "light": 0.04, "glow": 0.1}
            level = np.full(mask.alpha.shape, tone.get(shape.role, 1.0), np.float32)
            if shape.role in ("accent", "light", "glow"):
                canvas.paint(mask, PAPERS[0] if shape.role != "accent" else COLOURS[1])
            dots = halftone(level, unit * 0.007) if level.flat[0] < 1 else np.ones_like(level)
            canvas.paint(Mask(mask.x, mask.y, mask.alpha * dots), INK, 0.95)


def _words(canvas: Canvas, random: Random, words: list[str]) -> None:
    """Large type across the sheet."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    longest = sorted(set(words), key=lambda t: (-len(t), t))[:6]
    for index, word in enumerate(longest[:3]):
        size = unit * (0.2 if index == 0 else 0.1) * min(1.0, 9 / max(len(word), 3))
        if size < MIN_TYPE_PIXELS:
            continue
        angle = float(random.choice([90, -90, 0, 8, -12, 24]))
        ink = turned(
            letters(word if random.random() < 0.5 else word.upper(), size, weight=0.02), angle
        )
        spot = (
            float(random.uniform(0.15, 0.85)) * w,
            float(random.choice([0.1, 0.9, 0.78, 0.2])) * h,
        )
        stamp(canvas, ink, *spot, COLOURS[0] if index == 1 else INK, 0.94)


def _ransom(canvas: Canvas, random: Random, words: list[str], colours: list[Rgb]) -> None:
    """One word letter by letter, each on a scrap of its own."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    word = str(words[int(random.integers(len(words)))])[:9]
    step = min(0.1, 0.8 / max(len(word), 1)) * unit
    x = w * 0.5 - step * (len(word) - 1) / 2 + float(random.uniform(-0.08, 0.08)) * unit
    y = h * float(random.choice([0.13, 0.87]))
    for sign in word:
        high = step * float(random.uniform(0.95, 1.5))
        tint = [PAPERS[0], INK, *colours[:2]][int(random.integers(4))]
        angle = float(random.uniform(-0.3, 0.3))
        yy = y + step * float(random.uniform(-0.35, 0.35))
        card = _quad(random, x, yy, step * 1.02, high, angle)
        drop_shadow(canvas, card, unit * 0.004)
        canvas.fill(card, tint)
        sign = sign.upper() if random.random() < 0.5 else sign
        ink = turned(letters(sign, high * 0.72, weight=0.03), -math.degrees(angle))
        stamp(canvas, ink, x, yy, INK if luminance(tint) > 0.4 else PAPERS[0])
        x += step


def _wheel(canvas: Canvas, random: Random) -> None:
    """A cogwheel or a target, as the Berliners liked them."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    x, y, r = (float(random.uniform(0.2, 0.8)) * w, float(random.uniform(0.25, 0.75)) * h,
               unit * float(random.uniform(0.14, 0.22)))  # fmt: skip
    teeth = [
        place(rectangle(-0.09, -1.12, 0.09, -0.8), x, y, r, a) for a in np.arange(16) * math.pi / 8
    ]
    spokes = [
        place(rectangle(-0.05, -0.8, 0.05, 0), x, y, r, a) for a in np.arange(6) * math.pi / 3
    ]
    canvas.fill([*teeth, circle(x, y, r)], INK, 0.95)
    canvas.fill(circle(x, y, r * 0.78), PAPERS[3])
    canvas.fill([*spokes, circle(x, y, r * 0.22)], INK, 0.95)


def _marks(canvas: Canvas, random: Random, colours: list[Rgb]) -> None:
    """Arrows, rules, dots and a stamp."""
    w, h, unit = canvas.width, canvas.height, canvas.short
    for index in range(4):
        x, y = float(random.random()) * w, float(random.random()) * h
        angle = float(random.uniform(0, 2 * math.pi))
        length = unit * float(random.uniform(0.14, 0.34))
        rule = stroke(np.array([(0, 0), (length, 0)]), unit * 0.008, unit * 0.008)
        head = polygon((length, -unit * 0.022), (length + unit * 0.045, 0), (length, unit * 0.022))
        canvas.fill(
            [place(o, x, y, 1, angle) for o in (rule, head)], INK if index % 2 else COLOURS[0]
        )
    x, y = float(random.uniform(0.2, 0.8)) * w, float(random.uniform(0.2, 0.8)) * h
    canvas.fill([circle(x + i * unit * 0.03, y, unit * 0.009, 24) for i in range(5)], COLOURS[0])
