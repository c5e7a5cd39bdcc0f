"""Sound as numbers: float32 at 44 100 Hz, mono of shape (n,), stereo of shape (n, 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.media.backends.builtin.noise import Random

Wave = NDArray[np.float32]

RATE_HERTZ = 44_100
# What a finished sound peaks at: encoders that lose something overshoot by a decibel or so.
PEAK = 0.82
LOUDNESS_RMS = 0.135
FADE_IN_SECONDS = 0.012
_TABLE = 8192


def single(values: NDArray[Any]) -> Wave:
    """The same numbers as float32."""
    result: Wave = values.astype(np.float32)
    return result


def samples(seconds: float) -> int:
    """How many samples a time has; at least one."""
    return max(1, round(seconds * RATE_HERTZ))


def times(seconds: float) -> Wave:
    """The time of every sample."""
    return np.arange(samples(seconds), dtype=np.float32) / np.float32(RATE_HERTZ)


def hertz(pitch: float) -> float:
    """The frequency of a pitch as MIDI counts them; 69 is the A of 440 Hz."""
    return float(440.0 * 2 ** ((pitch - 69) / 12))


def table(partials: Sequence[float]) -> Wave:
    """One period of a tone with partials of these strengths."""
    t = np.arange(_TABLE) * (2 * np.pi / _TABLE)
    total = np.zeros(_TABLE)
    for number, strength in enumerate(partials, start=1):
        total += strength * np.sin(number * t)
    return single(total / np.abs(total).max())


def oscillator(shape: Wave, frequency: float | Wave, length: int, start: float = 0.0) -> Wave:
    """A tone from one period; the frequency in hertz may change from sample to sample."""
    turns = np.full(length, frequency) if isinstance(frequency, float) else frequency[:length]
    phase = start + np.cumsum(turns, dtype=np.float64) / RATE_HERTZ
    return shape[(phase * _TABLE).astype(np.int64) % _TABLE]


def white(random: Random, length: int) -> Wave:
    """White noise of strength one."""
    return random.standard_normal(length, dtype=np.float32)


def band(wave: Wave, low: float, high: float, *, slope: float = 2.0) -> Wave:
    """What of a mono sound lies between two frequencies; `slope` is the steepness of the edges."""
    n = len(wave)
    # A power of two is made many times faster than a prime.
    size = 1 << (n - 1).bit_length()
    at = np.fft.rfftfreq(size, 1 / RATE_HERTZ).astype(np.float32)
    gain = 1 / np.sqrt(1 + (at / np.float32(high)) ** (2 * slope))
    if low > 0:
        gain /= np.sqrt(1 + (np.float32(low) / np.maximum(at, 0.01)) ** (2 * slope))
    return np.fft.irfft(np.fft.rfft(wave, size) * gain, size)[:n].astype(np.float32)


def slow(random: Random, length: int, per_second: float) -> Wave:
    """A random line from 0 to 1 that changes so often."""
    points = max(2, int(length / RATE_HERTZ * per_second) + 2)
    values = random.random(points)
    t = np.linspace(0, points - 1, length)
    left = np.minimum(t.astype(np.int64), points - 2)
    part = t - left
    part = part * part * (3 - 2 * part)
    return single(values[left] * (1 - part) + values[left + 1] * part)


def swell(length: int, attack: float, release: float) -> Wave:
    """1 with a soft beginning and end, in seconds, shortened where there is no room."""
    envelope = np.ones(length, dtype=np.float32)
    rise = min(samples(attack), length // 2)
    fall = min(samples(release), length - rise)
    if rise:
        envelope[:rise] = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, rise))
    if fall:
        envelope[-fall:] *= (0.5 + 0.5 * np.cos(np.linspace(0, np.pi, fall))).astype(np.float32)
    return envelope


class Track:
    """A stereo sound in work, of fixed length."""

    def __init__(self, length: int) -> None:
        self.wave: Wave = np.zeros((length, 2), dtype=np.float32)

    def add(self, wave: Wave, at: int = 0, gain: float = 1.0, pan: float = 0.0) -> None:
        """Mix in from sample `at`; pan -1 is left, 1 right. What reaches over the end is lost."""
        skip = max(0, -at)
        at = max(0, at)
        part = wave[skip : skip + max(0, len(self.wave) - at)]
        if not len(part):
            return
        # A cut in the middle of a wave would click.
        if len(part) < len(wave) - skip:
            part = part * (swell(len(part), 0, 0.02) if part.ndim == 1
                           else swell(len(part), 0, 0.02)[:, None])  # fmt: skip
        angle = (pan + 1) * np.pi / 4
        sides = np.array([np.cos(angle), np.sin(angle)], dtype=np.float32) * np.float32(
            gain * np.sqrt(2)
        )
        target = self.wave[at : at + len(part)]
        target += (part[:, None] if part.ndim == 1 else part) * sides


def reverb(
    random: Random, wave: Wave, seconds: float, amount: float, *, dark: float = 5000
) -> Wave:
    """The sound (stereo) in a room whose echo takes so long to fade; same length."""
    if amount <= 0:
        return wave
    length = samples(seconds)
    decay = np.exp(np.linspace(0, -6.9, length)).astype(np.float32)
    decay *= swell(length, 0.012, 0.01)
    size = 1 << (len(wave) + length - 1).bit_length()
    wet = np.empty_like(wave)
    for side in range(2):
        echo = band(white(random, length), 140, dark, slope=1.0) * decay
        echo /= np.sqrt(np.sum(echo * echo)) + np.float32(1e-9)
        both = np.fft.rfft(wave[:, side], size) * np.fft.rfft(echo, size)
        wet[:, side] = np.fft.irfft(both, size)[: len(wave)]
    return wave + wet * np.float32(amount)


def finish(wave: Wave, *, fade_out_seconds: float, drive: float = 1.0) -> Wave:
    """A stereo sound fit to be heard: no rumble, even loudness, no clipping, silent at both ends.

    `drive` above 1 presses it into saturation.
    """
    clean = np.stack([band(wave[:, side], 28, 19_000) for side in range(2)], axis=1)
    clean *= swell(len(clean), FADE_IN_SECONDS, fade_out_seconds)[:, None]
    rms = float(np.sqrt(np.mean(clean * clean))) + 1e-9
    loud = np.tanh(clean * np.float32(LOUDNESS_RMS * drive / rms / PEAK)) * np.float32(PEAK)
    peak = float(np.abs(loud).max()) + 1e-9
    result: Wave = (loud * np.float32(min(PEAK / peak, 1.6))).astype(np.float32)
    return result
