"""Events in time: strewn by chance, or in a steady pulse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from services.media.backends.builtin.noise import Random
from services.media.backends.builtin.sound.signal import (
    RATE_HERTZ,
    Wave,
    samples,
)


def even(wave: Wave) -> Wave:
    """The same with a peak of one."""
    return wave / np.float32(np.abs(wave).max() + 1e-6)


def scatter(random: Random, length: int, per_second: float, make: Callable[[], Wave]) -> Wave:
    """Single events at random times; at least one."""
    total = np.zeros(length, dtype=np.float32)
    count = max(1, round(length / RATE_HERTZ * per_second))
    for index in range(count):
        # One in each part of the time: chance alone leaves holes.
        place = (index + float(random.random())) / count
        event = make()
        at = min(int(place * length), max(0, length - len(event)))
        event = event[: length - at]
        total[at : at + len(event)] += event
    return total


def pulse(
    length: int, period: float, beats: list[tuple[float, float]], make: Callable[[float], Wave]
) -> Wave:
    """Events at these places (parts of the period) and loudnesses, over and over."""
    total = np.zeros(length, dtype=np.float32)
    for turn in range(int(length / RATE_HERTZ / period) + 1):
        for place, loud in beats:
            at = samples((turn + place) * period) - 1
            event = make(loud)[: max(0, length - at)]
            if len(event):
                total[at : at + len(event)] += event
    return even(total)
