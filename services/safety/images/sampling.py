"""How much of a film is looked at. Pure."""

from __future__ import annotations

MAX_SAMPLES = 9
# Nine frames in front of white and black, or nine of a film four times as wide as high.
MAX_LOOKED_AT_BYTES = 48 * 1024 * 1024


def sample(count: int, most: int = MAX_SAMPLES) -> list[int]:
    """Return at most so many numbers below `count`, evenly spread, with the first and the last.

    The middle one is among them where `most` is odd and more than 2.
    """
    if count <= most:
        return list(range(count))
    return [round(number * (count - 1) / (most - 1)) for number in range(most)]
