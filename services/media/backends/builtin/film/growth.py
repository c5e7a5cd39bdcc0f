"""A canvas that remembers how the picture grew, so that the growing can be shown."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from services.media.backends.builtin.canvas import Canvas, Mask, Pixels, Rgb
from services.media.backends.builtin.noise import Field

Bytes = NDArray[np.uint8]
MAX_STAGES = 16
# A wash over the whole width is ground, whatever comes after it stands in front.
_GROUND_WIDTH = 0.95
_GROUND_COVERAGE = 0.05


class GrowingCanvas(Canvas):
    """Keeps at most `MAX_STAGES` states of the picture, evenly over the strokes.

    Grain and vignette belong to the lens: they are kept apart and laid over every frame.
    """

    holds_weather = False

    def __init__(self, width: int, height: int, tick: Callable[[], None]) -> None:
        super().__init__(width, height)
        self._tick = tick
        self._strokes = 0
        self._stride = 1
        self._stages: list[tuple[int, Bytes]] = []
        self._ground: tuple[int, Bytes] | None = None
        self._lens: list[Callable[[Canvas], None]] = []

    def paint(
        self, mask: Mask | None, colour: Rgb | Pixels, opacity: float = 1.0, mode: str = "normal"
    ) -> None:
        """As a canvas does, and remember."""
        self._tick()
        super().paint(mask, colour, opacity, mode)
        self._strokes += 1
        if self._strokes % self._stride == 0:
            self._stages.append((self._strokes, self.bytes()))
            if len(self._stages) > MAX_STAGES:
                self._stages = self._stages[1::2]
                self._stride *= 2
        if mask is not None and mask.alpha.shape[1] >= self.width * _GROUND_WIDTH:
            coverage = float(mask.alpha.sum()) * opacity / (self.width * self.height)
            if coverage >= _GROUND_COVERAGE:
                self._ground = (self._strokes, self.bytes())

    def vignette(self, strength: float, colour: Rgb = (0.0, 0.0, 0.0)) -> None:
        """Kept for the lens."""
        self._lens.append(lambda canvas: Canvas.vignette(canvas, strength, colour))

    def texture(self, field: Field, strength: float) -> None:
        """Kept for the lens."""
        if field.shape[:2] == (self.height, self.width):
            self._lens.append(lambda canvas: Canvas.texture(canvas, field, strength))
        else:
            super().texture(field, strength)

    def bytes(self) -> Bytes:
        """The picture as it stands, shape (height, width, 3)."""
        return (np.clip(self.pixels, 0, 1) * 255 + 0.5).astype(np.uint8)

    def grown(self) -> tuple[list[Bytes], list[Bytes]]:
        """The stages of the ground, and those of the whole picture on the finished ground.

        Each has at least one; the last of the second is the finished picture.
        """
        finished = self.bytes()
        stroke, ground = self._ground or (0, self._first())
        before = [stage for number, stage in self._stages if number < stroke]
        after = [stage for number, stage in self._stages if number > stroke]
        return [*before, ground], [*after, finished]

    def lens(self) -> tuple[Pixels, Pixels]:
        """What the lens multiplies each pixel with, and adds to it."""
        black, white = Canvas(self.width, self.height), Canvas(self.width, self.height)
        black.pixels[:] = 0
        for effect in self._lens:
            effect(black)
            effect(white)
        return white.pixels - black.pixels, black.pixels

    def _first(self) -> Bytes:
        return self._stages[0][1] if self._stages else self.bytes()
