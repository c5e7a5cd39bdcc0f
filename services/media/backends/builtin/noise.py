"""Smooth random fields, float32 in 0..1, shape (height, width).

The lattice depends on the frequency and the aspect ratio only, so a picture keeps its composition
at every size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]
Random = np.random.Generator

# Fields are made at most this large and enlarged softly: nobody sees the difference, and a warp
# costs a quarter.
_MAX_SIDE = 512


def resize(field: Field, height: int, width: int) -> Field:
    """Enlarge or shrink a field, bicubic."""
    if field.shape == (height, width):
        return field
    image = Image.fromarray(field).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32)


def fbm(
    random: Random,
    height: int,
    width: int,
    cells: float,
    octaves: int = 4,
    *,
    stretch: float = 1.0,
) -> Field:
    """Fractal value noise: `cells` bumps along the shorter side, `stretch` times flatter."""
    short = min(height, width)
    total = np.zeros((height, width), dtype=np.float32)
    weight, sum_of_weights = 1.0, 0.0
    for octave in range(octaves):
        frequency = cells * 2**octave
        rows = max(2, round(frequency * height / short * stretch) + 1)
        columns = max(2, round(frequency * width / short) + 1)
        lattice = random.random((min(rows, 4096), min(columns, 4096)), dtype=np.float32)
        if rows <= height * 2 and columns <= width * 2:
            total += weight * resize(lattice, height, width)
            sum_of_weights += weight
        weight *= 0.5
    if sum_of_weights == 0:
        total += np.float32(0.5)
    return _spread(total)


def warped(random: Random, height: int, width: int, cells: float, strength: float) -> Field:
    """Domain-warped noise: marble, clouds, smoke. Strength is in parts of the shorter side."""
    scale = min(1.0, _MAX_SIDE / max(height, width))
    h, w = max(2, round(height * scale)), max(2, round(width * scale))
    base = fbm(random, h, w, cells, 5)
    dx = (fbm(random, h, w, cells, 2) - 0.5) * (strength * min(h, w))
    dy = (fbm(random, h, w, cells, 2) - 0.5) * (strength * min(h, w))
    return resize(shift(base, dx, dy), height, width)


def shift(field: Field, dx: Field, dy: Field) -> Field:
    """Read field at (x + dx, y + dy), nearest, edges mirrored."""
    h, w = field.shape[:2]
    ys = np.arange(h, dtype=np.float32)[:, None] + dy
    xs = np.arange(w, dtype=np.float32)[None, :] + dx
    return field[_mirror(ys, h), _mirror(xs, w)]


def _mirror(index: Field, size: int) -> NDArray[np.int32]:
    period = 2 * size - 2 if size > 1 else 1
    wrapped = np.abs(index.astype(np.int32)) % period
    folded: NDArray[np.int32] = np.minimum(wrapped, period - wrapped)
    return folded


def ridge(random: Random, width: int, cells: float, octaves: int = 5) -> Field:
    """A line of hills, -1..1, one value a column."""
    total = np.zeros(width, dtype=np.float32)
    x = np.linspace(0.0, 1.0, width, dtype=np.float32)
    for octave in range(octaves):
        count = max(3, int(cells * 2**octave) + 2)
        heights = random.random(count, dtype=np.float32) * 2 - 1
        at = x * (count - 1)
        left = np.minimum(at.astype(np.int32), count - 2)
        t = at - left
        t = t * t * (3 - 2 * t)
        total += (heights[left] * (1 - t) + heights[left + 1] * t) * 0.5**octave
    return (total / 1.6).astype(np.float32)


def grain(random: Random, height: int, width: int) -> Field:
    """Fine noise around zero, the tooth of paper or film."""
    return random.standard_normal((height, width), dtype=np.float32)


def _spread(field: Field) -> Field:
    low, high = float(field.min()), float(field.max())
    return (field - low) / max(high - low, 1e-6)
