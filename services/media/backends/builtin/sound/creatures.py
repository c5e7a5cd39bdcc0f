"""Animals and people, synthesised: each fills a mono wave of the given length, about 1 loud."""

from __future__ import annotations

import numpy as np

from services.media.backends.builtin.noise import Random
from services.media.backends.builtin.sound.events import even, pulse, scatter
from services.media.backends.builtin.sound.signal import (
    RATE_HERTZ,
    Wave,
    band,
    oscillator,
    samples,
    single,
    slow,
    swell,
    table,
    times,
    white,
)
from services.media.backends.builtin.sound.voices import SAW, SINE

_LARYNX = table([1 / n**1.2 for n in range(1, 24)])


def birds(random: Random, length: int) -> Wave:
    """Two or three birds, each with a phrase of its own."""
    total = np.zeros(length, dtype=np.float32)
    for _ in range(int(random.integers(2, 4))):
        base = float(random.uniform(2100, 4300))
        shape = [
            (float(random.uniform(0.05, 0.14)), float(random.uniform(0.8, 1.3)),
             float(random.uniform(-0.35, 0.35)), int(random.integers(1, 4)))
            for _ in range(int(random.integers(2, 5)))
        ]  # fmt: skip

        def phrase(
            base: float = base, shape: list[tuple[float, float, float, int]] = shape
        ) -> Wave:
            parts = []
            for seconds, ratio, glide, trill in shape:
                t = np.linspace(0, 1, samples(seconds), dtype=np.float32)
                f = base * ratio * (1 + glide * t + 0.05 * np.sin(2 * np.pi * trill * 4 * t))
                note = oscillator(SINE, f.astype(np.float32), len(t)) * swell(len(t), 0.02, 0.03)
                parts += [note.astype(np.float32), np.zeros(samples(0.035), dtype=np.float32)]
            return np.concatenate(parts) * np.float32(0.4 + 0.6 * random.random())

        total += scatter(random, length, 0.75, phrase)
    return even(total)


def crickets(random: Random, length: int) -> Wave:
    """A summer night."""
    t = np.arange(length, dtype=np.float32) / np.float32(RATE_HERTZ)
    total = np.zeros(length, dtype=np.float32)
    for _ in range(3):
        f, beat = float(random.uniform(3900, 5200)), float(random.uniform(2.1, 3.4))
        turn = (t * np.float32(beat) + np.float32(random.random())) % 1
        chirp = np.where(turn < 0.3, np.abs(np.sin(np.pi * turn / 0.1)), 0)
        total += (np.sin(2 * np.pi * f * t) * chirp * random.uniform(0.3, 1)).astype(np.float32)
    return even(band(total, 2000, 9000))


def bees(random: Random, length: int) -> Wave:
    """Wings around the head."""
    total = np.zeros(length, dtype=np.float32)
    for _ in range(3):
        f = 170 * (1 + 0.22 * slow(random, length, 1.6)) * float(random.uniform(0.9, 1.25))
        total += oscillator(SAW, f.astype(np.float32), length) * slow(random, length, 0.8) ** 2
    return even(band(total, 150, 2600))


def _cry(random: Random, seconds: float, pitches: list[float], formants: list[float]) -> Wave:
    length = samples(seconds)
    f = np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(pitches)), pitches)
    f *= 1 + 0.01 * (slow(random, length, 18) - 0.5)
    source = oscillator(_LARYNX, f.astype(np.float32), length)
    voiced = sum(
        (band(source, c * 0.8, c * 1.25) / (1 + i * 0.7) for i, c in enumerate(formants)),
        start=np.zeros(length, dtype=np.float32),
    )
    return even(voiced * swell(length, seconds * 0.15, seconds * 0.35))


def cat(random: Random, length: int) -> Wave:
    """A cat that wants something, and purrs."""
    t = np.arange(length, dtype=np.float32) / np.float32(RATE_HERTZ)
    purr = band(white(random, length), 60, 500) * (0.5 + 0.5 * np.sin(2 * np.pi * 25 * t))

    def miaow() -> Wave:
        return _cry(random, 0.75, [480, 700, 640, 420], [900, 1900, 3100])

    call = scatter(random, length, 0.28, miaow)
    return even(call + (purr / purr.std() * 0.06).astype(np.float32))


def dog(random: Random, length: int) -> Wave:
    """Barks, in twos."""

    def bark() -> Wave:
        one = _cry(random, 0.17, [330, 460, 240], [620, 1250, 2500])
        rough = one * (0.7 + 0.3 * white(random, len(one)).clip(-1, 1))
        return np.concatenate([rough, np.zeros(samples(0.13), dtype=np.float32), rough * 0.8])

    return even(scatter(random, length, 0.5, bark))


def horse(random: Random, length: int) -> Wave:
    """Hooves at a trot."""
    t = times(0.07)
    knock = (band(white(random, len(t)), 350, 1500) * np.exp(t * -55)).astype(np.float32)
    return pulse(length, 0.29, [(0, 1.0), (0.34, 0.6)], lambda loud: knock * np.float32(loud))


def crowd(random: Random, length: int) -> Wave:
    """Many who talk at once, far away."""

    def word() -> Wave:
        base = float(random.uniform(110, 240))
        pitches = [base, base * float(random.uniform(0.9, 1.25)), base * 0.9]
        vowel = [(700, 1200), (400, 2000), (350, 800), (550, 1750)][int(random.integers(4))]
        return _cry(random, float(random.uniform(0.14, 0.4)), pitches, list(vowel)) * np.float32(
            0.25 + 0.5 * random.random()
        )

    return even(scatter(random, length, 9, word))


def heart(_: Random, length: int) -> Wave:
    """A heart, from inside."""
    t = times(0.22)
    beat = (np.sin(2 * np.pi * (44 * t + 1.1 * (1 - np.exp(t * -30)))) * np.exp(t * -16)).astype(
        np.float32
    )
    return pulse(length, 0.95, [(0, 1.0), (0.3, 0.7)], lambda loud: beat * np.float32(loud))


def steps(random: Random, length: int) -> Wave:
    """Somebody walks."""

    def step(loud: float) -> Wave:
        t = times(0.12)
        noise = band(white(random, len(t)), 180, 1600)
        return single(noise * np.exp(t * -34) * loud)

    return pulse(length, 1.14, [(0, 1.0), (0.5, 0.85)], step)
