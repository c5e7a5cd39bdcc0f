"""Rain and snow that fall through a film."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from services.media.backends.builtin.canvas import Pixels
from services.media.backends.builtin.noise import Random

_DROPS, _FLAKES = 130, 150


class Falling:
    """Rain or snow; frames are drawn from the particles' places at that time."""

    def __init__(self, kind: str, random: Random, width: int, height: int, fps: int) -> None:
        self._kind, self._size, self._fps = kind, (width, height), fps
        count = _FLAKES if kind == "snow" else _DROPS
        self._start = random.random((count, 2))
        self._near = random.random(count) ** 1.5
        self._slant = float(random.uniform(-0.3, 0.3))
        self._wild = kind == "storm"

    def fall(self, pixels: Pixels, frame: int) -> None:
        """Draw what falls in this frame onto its pixels, 0 to 255."""
        w, h = self._size
        # Twice as large, for soft edges.
        image = Image.new("L", (w * 2, h * 2))
        draw = ImageDraw.Draw(image)
        seconds = frame / self._fps
        for (x, y), near in zip(self._start, self._near, strict=True):
            if self._kind == "snow":
                down = (y + seconds * (0.1 + 0.22 * near)) % 1.06 - 0.03
                side = (x + 0.02 * np.sin(seconds * 1.7 + 40 * x) + seconds * 0.02) % 1.0
                r = 2 * h * (0.0025 + 0.006 * near)
                cx, cy = side * w * 2, down * h * 2
                draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=int(110 + 140 * near))
                continue
            speed = (1.9 if self._wild else 1.35) * (0.7 + near)
            down = (y + seconds * speed) % 1.2 - 0.15
            side = (x + self._slant * down) % 1.0
            length = h * 2 * (0.035 + 0.07 * near)
            x0, y0 = side * w * 2, down * h * 2
            draw.line((x0, y0, x0 + self._slant * length, y0 + length),
                      fill=int(60 + 80 * near), width=2 if near > 0.6 else 1)  # fmt: skip
        soft = image.resize((w, h), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.4))
        amount = np.asarray(soft, dtype=np.float32)[..., None] * np.float32(1 / 255)
        pixels += (np.float32(238) - pixels) * amount
