"""A film from words: the picture of the built-in renderer grows, and a camera moves before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from services.media.backends.builtin.film.growth import Bytes, GrowingCanvas
from services.media.backends.builtin.film.motion import MANNERS, Motion
from services.media.backends.builtin.film.shots import MARGIN, Shots
from services.media.backends.builtin.film.weather import Falling
from services.media.backends.builtin.noise import Random
from services.media.backends.builtin.words import Scene

Draw = Callable[[GrowingCanvas, Scene, Random], None]


def film_frames(
    scene: Scene,
    language: str,
    draw: Draw,
    random: Random,
    size: tuple[int, int],
    seconds: float,
    fps: int,
    tick: Callable[[], None],
) -> Iterator[Bytes]:
    """Yield the frames of a film, shape (height, width, 3); the first after the whole drawing.

    `tick` is called at every stroke of the drawing, so that it may raise to stop the work.
    """
    width, height = size
    canvas = GrowingCanvas(round(width * MARGIN), round(height * MARGIN), tick)
    draw(canvas, scene, random)
    count = max(2, round(seconds * fps))
    weather = None
    if scene.weather in ("rain", "storm", "snow") and language in ("landscape", "overdrive",
                                                                  "theopposite"):  # fmt: skip
        weather = Falling(scene.weather, random, width, height, fps)
    manner = MANNERS[language]
    motion = Motion(manner, random, count, fps)
    shots = Shots(canvas, width, height, manner, motion, weather, random)
    # Its levels are four times as large as all that the frames are made from.
    del canvas
    yield from shots.frames(count)
