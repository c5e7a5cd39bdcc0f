"""Motifs in paint: roles become colours, silhouettes get light and volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from services.media.backends.builtin import motifs
from services.media.backends.builtin.canvas import Canvas, Mask, Pixels, Rgb, levels
from services.media.backends.builtin.geometry import Points, bounds, place
from services.media.backends.builtin.motifs import Motif
from services.media.backends.builtin.noise import Field, Random
from services.media.backends.builtin.palette import Palette, lighter, luminance, mix, named, oklch
from services.media.backends.builtin.words import Scene, Subject


@dataclass(frozen=True, slots=True)
class Placed:
    """A motif at its place; (x, y) is its foot or, in the air, its centre; size its height."""

    motif: Motif
    subject: Subject
    x: float
    y: float
    size: float
    angle: float = 0.0
    mirror: bool = False
    # 0 is at the horizon, 1 in front.
    depth: float = 1.0
    index: int = 0

    def outlines(self) -> list[Points]:
        """All outlines on the canvas."""
        return [o for group in self.by_shape() for o in group]

    def by_shape(self) -> list[list[Points]]:
        """The outlines of each shape on the canvas."""
        return [
            [
                place(o, self.x, self.y, self.size, self.angle, mirror=self.mirror)
                for o in s.outlines
            ]
            for s in self.motif.shapes
        ]


def role_colours(placed: Placed, palette: Palette) -> dict[str, Rgb]:
    """The colours of a motif's roles in a picture with this palette."""
    subject, motif = placed.subject, placed.motif
    if subject.colour is not None:
        main = named(subject.colour)
    elif motif.colour is not None:
        main = mix(named(motif.colour), palette.accent(placed.index), 0.15)
    else:
        main = palette.accent(placed.index)
    second = lighter(main, -0.28 if luminance(main) > 0.3 else 0.22)
    accent = palette.accent(placed.index + 1)
    if abs(luminance(accent) - luminance(main)) < 0.15:
        accent = lighter(accent, 0.45)
    dim = {"night": 0.3, "dusk": 0.12}.get(palette.time, 0.0) + (0.28 if palette.dull else 0.0)
    colours = {
        "main": mix(main, palette.sky[1], dim * 0.6),
        "second": mix(second, palette.sky[1], dim * 0.6),
        "accent": accent,
        "stem": oklch(0.42, 0.07, 120) if motif.name in _GREEN_STEMS else oklch(0.38, 0.05, 60),
        "leaf": oklch(0.5, 0.12, 142),
        "dark": palette.dark,
        "light": mix(palette.light, palette.sky[2], 0.12 + dim * 0.5),
        "glow": oklch(0.93, 0.14, 95),
    }
    for role in ("stem", "leaf"):
        colours[role] = mix(colours[role], palette.sky[0], dim)
    return colours


_GREEN_STEMS = {"flower", "rose", "tulip", "sunflower"}


def paint_motif(
    canvas: Canvas,
    placed: Placed,
    colours: Mapping[str, Rgb],
    *,
    volume: float = 0.5,
    haze: Rgb | None = None,
    softness: float = 0.0,
    light: tuple[float, float] = (-0.6, -0.8),
) -> None:
    """Paint a motif; haze mixes in the further away it is, softness is a blur in pixels."""
    far = (1 - placed.depth) * 0.55
    for shape, outlines in zip(placed.motif.shapes, placed.by_shape(), strict=True):
        colour = colours[shape.role]
        if haze is not None:
            colour = mix(colour, haze, far)
        mask = canvas.mask(outlines, pad=2 + softness * 3)
        if mask is None:
            continue
        if softness:
            mask = mask.blurred(softness)
        if shape.role == "glow":
            _halo(canvas, outlines, colour, placed.size)
            canvas.paint(mask, colour)
        elif volume and mask.alpha.size > 400:
            canvas.paint(mask, modelled(mask, colour, placed.size * 0.05, volume, light))
        else:
            canvas.paint(mask, colour)


def modelled(
    mask: Mask, colour: Rgb, roundness: float, volume: float, light: tuple[float, float]
) -> Pixels:
    """Colour with the light and shade of a swollen form, as if the mask were embossed."""
    slope_y, slope_x = np.gradient(swell(mask, max(1.0, roundness)))
    shade = (slope_x * light[0] + slope_y * light[1]) * np.float32(-max(1.0, roundness) * 1.6)
    shade = np.clip(shade, -1, 1) * np.float32(volume)
    base = np.asarray(colour, dtype=np.float32)
    warm = np.asarray(lighter(mix(colour, (1.0, 0.93, 0.75), 0.35), 0.35), dtype=np.float32)
    cool = np.asarray(lighter(mix(colour, (0.2, 0.15, 0.4), 0.3), -0.45), dtype=np.float32)
    up, down = np.maximum(shade, 0)[..., None], np.maximum(-shade, 0)[..., None]
    result: Pixels = base + (warm - base) * up + (cool - base) * down
    return result


def swell(mask: Mask, radius: float) -> Field:
    """A soft hill over the mask."""
    image = Image.fromarray((mask.alpha * 255).astype(np.uint8))
    return levels(image.filter(ImageFilter.GaussianBlur(radius)))


def shadow(canvas: Canvas, placed: Placed, colour: Rgb, strength: float = 0.4) -> None:
    """A soft shadow where the motif stands."""
    if placed.motif.anchor != "ground":
        return
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    wide, high = placed.size * 0.3, placed.size * 0.045
    x = placed.x + placed.size * 0.08
    oval = np.stack([x + wide * np.cos(t), placed.y + high * np.sin(t)], axis=1)
    canvas.fill(oval, colour, strength, blur=max(0.5, placed.size * 0.025))


def _halo(canvas: Canvas, outlines: list[Points], colour: Rgb, size: float) -> None:
    radius = max(1.0, size * 0.035)
    mask = canvas.mask(outlines, pad=radius * 3)
    if mask is not None:
        canvas.paint(mask.blurred(radius), colour, 0.8, "screen")


def arrange(
    scene: Scene,
    random: Random,
    canvas: Canvas,
    horizon: float,
    *,
    golden: float,
    skip: frozenset[str] = frozenset(),
    scale: float = 1.0,
    margin: float = 0.04,
) -> list[Placed]:
    """Give every subject of a scene its place, from far to near.

    The first subject leads: large, at `golden`, in parts of the width. `horizon` is in parts of
    the height, `margin` (what stays free at the sides) of the shorter side.
    """
    w, h = canvas.width, canvas.height
    unit = min(w * 1.15, h) * scale
    found: list[Placed] = []
    subjects = [s for s in scene.subjects if s.motif not in skip]
    for order, subject in enumerate(subjects):
        lead = order == 0
        x, depth = _SLOTS[order % len(_SLOTS)]
        spots = _spread(random, subject.count, x if golden < 0.5 else 1 - x, depth)
        for index, (x, depth) in enumerate(spots):
            motif = motifs.make(subject.motif, random)
            size = unit * (0.6 if lead else 0.42) * motif.size**0.4
            size *= 0.82 if len(subjects) > 2 else 1.0
            size *= (0.42 + 0.58 * depth) * (0.9 if subject.count > 1 else 1.0)
            placed = _stand(random, motif, subject, (x * w, depth, size), (w, h), horizon,
                            order + (index if subject.count > 3 else 0))  # fmt: skip
            found.append(_inside(placed, w, h, margin * min(w, h)))
    return sorted(found, key=lambda p: p.depth)


def _stand(
    random: Random,
    motif: Motif,
    subject: Subject,
    spot: tuple[float, float, float],
    sides: tuple[int, int],
    horizon: float,
    index: int,
) -> Placed:
    x, depth, size = spot
    h = sides[1]
    angle = 0.0
    if motif.anchor == "air":
        size *= 0.8
        y = h * horizon * float(random.uniform(0.35, 0.75))
        if subject.count == 1 and motif.size >= 0.8:
            y = h * max(0.42, horizon * 0.62)
        y = max(y, size * 0.55)
        angle = float(random.uniform(-0.18, 0.18))
    elif motif.anchor == "water":
        y = h * (horizon + (1 - horizon) * (0.1 + 0.35 * depth))
    else:
        y = h * (horizon + (1 - horizon) * (0.1 + 0.72 * depth))
    mirror = bool(random.random() < 0.5) if motif.name != "clock" else False
    return Placed(motif, subject, x, y, size, angle, mirror, depth, index)


def _inside(placed: Placed, width: int, height: int, margin: float) -> Placed:
    """The same, shrunk and moved so that it does not leave the picture."""
    left, top, right, bottom = bounds(placed.outlines())
    room = (width - 2.5 * margin, height - 2 * margin)
    share = min(1.0, room[0] / max(right - left, 1), room[1] / max(bottom - top, 1))
    if share < 1:
        placed = replace(placed, size=placed.size * share)
        left, top, right, bottom = bounds(placed.outlines())
    x = max(margin - left, 0.0) + min(width - margin - right, 0.0)
    y = max(margin - top, 0.0)
    return replace(placed, x=placed.x + x, y=placed.y + y)


# Where the subjects stand, in parts of the width, and how near, when what leads stands left.
_SLOTS = ((0.382, 1.0), (0.68, 0.55), (0.9, 0.3), (0.8, 0.85))


def _spread(random: Random, count: int, centre: float, depth: float) -> list[tuple[float, float]]:
    if count == 1:
        return [(centre + float(random.uniform(-0.05, 0.05)), depth)]
    spots = []
    order = random.permutation(count)
    for index in range(count):
        x = (index + 0.5 + float(random.uniform(-0.22, 0.22))) / count
        near = 1.0 if order[index] == 0 else 0.15 + 0.8 * float(order[index]) / count
        spots.append((0.08 + x * 0.84, near * depth))
    return spots
