"""Bauhaus: paper, basic forms, primary colours, a grid and one diagonal; forms overprint."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from services.media.backends.builtin.canvas import Canvas, Mask, Rgb
from services.media.backends.builtin.geometry import (
    Points,
    arc_band,
    circle,
    place,
    polygon,
    rectangle,
    sector,
)
from services.media.backends.builtin.languages.bauhaus_motifs import FORMS, Form
from services.media.backends.builtin.noise import Random
from services.media.backends.builtin.palette import named, oklch
from services.media.backends.builtin.prints import paper
from services.media.backends.builtin.words import Scene, Subject

RED, YELLOW, BLUE = oklch(0.58, 0.21, 29), oklch(0.84, 0.165, 88), oklch(0.45, 0.14, 258)
BLACK, CREAM, GREY = oklch(0.2, 0.01, 60), oklch(0.945, 0.025, 88), oklch(0.72, 0.015, 80)


def draw(canvas: Canvas, scene: Scene, random: Random) -> None:
    """Compose the poster."""
    inks = [RED, BLUE, YELLOW]
    random.shuffle(inks)
    for colour in reversed(scene.colours[:2]):
        if colour not in ("black", "white", "grey", "silver"):
            ink = _ink(colour)
            inks = [ink, *(other for other in inks if other != ink)]
    night = scene.time == "night"
    ground = oklch(0.26, 0.035, 265) if night else CREAM
    line = CREAM if night else BLACK
    paper(canvas, random, ground, roughness=0.014)
    angle = math.radians(float(random.choice([-32, -24, 24, 32])))
    board = _Board(canvas, angle, "normal" if night else "multiply")
    _planes(board, random, inks, line)
    _weather(board, scene, random, line)
    _figures(board, scene, random, inks, line, ground)
    _frame(board, random, line)


def _ink(colour: str) -> Rgb:
    """The poster's own ink for a colour word, where it has one."""
    return {"red": RED, "yellow": YELLOW, "blue": BLUE}.get(colour) or named(colour)


class _Board:
    """The canvas in units of its shorter side, centred, with the picture's diagonal."""

    def __init__(self, canvas: Canvas, angle: float, overprint: str) -> None:
        self.canvas, self.angle, self.overprint = canvas, angle, overprint
        self.half_width = canvas.width / canvas.short / 2
        self.half_height = canvas.height / canvas.short / 2

    def fill(self, outlines: list[Points], colour: Rgb, *, tilted: bool = False,
             mode: str = "normal",
             opacity: float = 1.0) -> None:  # fmt: skip
        """Print in one flat ink."""
        c = self.canvas
        angle = self.angle if tilted else 0.0
        self.canvas.fill([place(o, c.width / 2, c.height / 2, c.short, angle) for o in outlines],
                         colour,
                         opacity, mode=mode)  # fmt: skip

    def rim(self, outlines: list[Points], colour: Rgb) -> None:
        """Leave a thin line of paper around a figure, as printers do between two inks."""
        c = self.canvas
        radius = c.short * 0.0045
        moved = [place(o, c.width / 2, c.height / 2, c.short) for o in outlines]
        mask = c.mask(moved, pad=radius * 4)
        if mask is not None:
            soft = mask.blurred(radius)
            c.paint(Mask(soft.x, soft.y, np.clip((soft.alpha - 0.1) * 9, 0, 1)), colour)


def _planes(board: _Board, random: Random, inks: list[Rgb], line: Rgb) -> None:
    """The big forms: a disc, a bar along the diagonal, an arc, stripes."""
    side = 1 if random.random() < 0.5 else -1
    x, y = side * float(random.uniform(0.1, 0.24)), -float(random.uniform(0.06, 0.2))
    r = float(random.uniform(0.25, 0.34))
    bar = float(random.uniform(-0.28, 0.28))
    mode = board.overprint
    board.fill([rectangle(-2, bar - 0.055, 2, bar + 0.055)], inks[1], tilted=True, mode=mode)
    board.fill([rectangle(-2, bar + 0.085, 2, bar + 0.097)], line, tilted=True)
    board.fill([circle(x, y, r, 128)], inks[0], mode=mode)
    start = float(random.choice([0, 0.5, 1, 1.5])) * math.pi
    board.fill([arc_band(-x * 0.9, y + 0.28, r * 0.82, 0.05, start, start + 1.5 * math.pi)], line)
    corner = float(random.choice([0, 1, 2, 3])) * math.pi / 2
    cx = -board.half_width if math.cos(corner + 0.1) > 0 else board.half_width
    cy = -board.half_height if math.sin(corner + 0.1) > 0 else board.half_height
    board.fill([sector(cx, cy, 0.36, corner, corner + math.pi / 2)], inks[2], mode=mode)
    u = 0.042
    # In one of the corners the disc leaves free.
    up = 1 if random.random() < 0.5 else -1
    gx, gy = -side * (board.half_width - 0.2) - 2 * u, up * (board.half_height - 0.17) - 2 * u
    grid = [rectangle(gx + i * u, gy + j * u, gx + (i + 1) * u, gy + (j + 1) * u)
            for i in range(4) for j in range(4) if (i + j) % 2 == 0]  # fmt: skip
    board.fill(grid, line)
    edge = board.half_height - 0.11
    stripes = [rectangle(-board.half_width, edge - i * 0.022, -board.half_width + 0.34 - i * 0.04,
                         edge - i * 0.022 + 0.009) for i in range(6)]  # fmt: skip
    board.fill(stripes, line)


def _weather(board: _Board, scene: Scene, random: Random, line: Rgb) -> None:
    if scene.weather in ("rain", "storm"):
        drops = []
        for _ in range(46):
            x, y = float(random.uniform(-1, 1)), float(random.uniform(-0.6, 0.6))
            drops.append(rectangle(x, y, x + 0.006, y + float(random.choice([0.05, 0.09]))))
        board.fill([place(d, 0, 0, 1, 0.35) for d in drops], BLUE if line == BLACK else line)
    if scene.weather == "snow":
        dots = [circle(float(x) * 1.2 - 0.6, float(y) * 1.2 - 0.6, 0.009, 20)
                for x, y in random.random((70, 2))]  # fmt: skip
        board.fill(dots, GREY)
    if scene.place == "sea":
        for row in range(4):
            y = 0.27 + row * 0.055
            waves = [sector(x + (row % 2) * 0.06, y, 0.06, 0, math.pi, 24)
                     for x in np.arange(-board.half_width - 0.06, board.half_width + 0.1,
                                        0.12)]  # fmt: skip
            board.fill(waves, BLUE if line == BLACK else oklch(0.6, 0.12, 250),
                       mode=board.overprint if row % 2 else "normal")  # fmt: skip
    if scene.place == "meadow":
        blades = [polygon((x, board.half_height), (x + 0.018, board.half_height - h),
                          (x + 0.036, board.half_height))
                  for x, h in zip(np.arange(-board.half_width, board.half_width, 0.036),
                                  np.resize([0.07, 0.11, 0.05, 0.09], 400),
                                  strict=False)]  # fmt: skip
        board.fill(blades, oklch(0.5, 0.12, 145))


def _figures(
    board: _Board, scene: Scene, random: Random, inks: list[Rgb], line: Rgb, ground: Rgb
) -> None:
    """The subjects, built from basic forms."""
    subjects = scene.subjects[:3] or (Subject("", int(random.integers(2, 5))),)
    for order, subject in reversed(list(enumerate(subjects))):
        form = FORMS.get(subject.motif)
        colours = _inks_for(subject, inks, order, line, ground)
        spots = _spots(random, subject.count, order, board)
        for x, y, size in spots:
            shapes = form(random) if form else _abstract(random)
            mirror = bool(random.random() < 0.5)
            every = [o for _, outlines in shapes for o in outlines]
            board.rim([place(o, x, y, size, mirror=mirror) for o in every], ground)
            for role, outlines in shapes:
                board.fill([place(o, x, y, size, mirror=mirror) for o in outlines], colours[role])


def _inks_for(
    subject: Subject, inks: list[Rgb], order: int, line: Rgb, ground: Rgb
) -> dict[str, Rgb]:
    # The big disc behind has the first ink, so the figure's large forms take the others.
    others = [inks[1], inks[2]] if order % 2 == 0 else [inks[2], inks[1]]
    first = _ink(subject.colour) if subject.colour else others[0]
    second = next(ink for ink in (*reversed(others), RED, YELLOW, BLUE) if ink != first)
    third = next(ink for ink in (inks[0], YELLOW, RED, BLUE) if ink not in (first, second))
    return {"a": first, "b": second, "c": third, "line": line, "paper": ground,
            "green": oklch(0.5, 0.12, 145)}  # fmt: skip


def _spots(
    random: Random, count: int, order: int, board: _Board
) -> list[tuple[float, float, float]]:
    if count == 1 and order == 0:
        return [(float(random.uniform(-0.1, 0.1)), 0.05, 0.66)]
    if count == 1:
        side = -1 if order == 1 else 1
        return [(side * 0.31, float(random.choice([-0.22, 0.26])), 0.32)]
    size = min(0.44, 1.05 / math.sqrt(count) * 0.55)
    # Along the diagonal, growing: movement without perspective.
    found = []
    for index in range(count):
        t = (index + 0.5) / count - 0.5
        off = 0.13 * (1 if index % 2 else -1) if count > 3 else 0.0
        x = t * 0.86 * math.cos(board.angle) - off * math.sin(board.angle)
        y = t * 0.86 * math.sin(board.angle) + off * math.cos(board.angle)
        found.append((x, y, size * (0.75 + 0.5 * index / count)))
    return found


def _abstract(random: Random) -> list[tuple[str, list[Points]]]:
    """Kandinsky's trio: triangle, square and circle, in one of its orders."""
    makers: list[Callable[[], Points]] = [
        lambda: polygon((-0.3, 0.28), (0, -0.3), (0.3, 0.28)),
        lambda: rectangle(-0.24, -0.24, 0.24, 0.24),
        lambda: circle(0, 0, 0.28),
        lambda: sector(0, 0.1, 0.3, -math.pi, 0),
    ]
    picks = random.choice(len(makers), 3, replace=False)
    scale = (1.0, 0.6, 0.3)
    return [(role, [makers[int(p)]() * s]) for role, p, s in zip("abc", picks, scale, strict=True)]


def _frame(board: _Board, random: Random, line: Rgb) -> None:
    w, h = board.half_width - 0.035, board.half_height - 0.035
    t = 0.0045
    board.fill([rectangle(-w, -h, w, -h + t), rectangle(-w, h - t, w, h), rectangle(-w, -h,
    -w + t, h),
                rectangle(w - t, -h, w, h)], line)  # fmt: skip


__all__ = ["Form", "draw"]
