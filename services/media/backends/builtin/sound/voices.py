"""Instruments: each gives one note as a mono wave, with its own ending, peak about 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from services.media.backends.builtin.noise import Random
from services.media.backends.builtin.sound.signal import (
    RATE_HERTZ,
    Wave,
    band,
    hertz,
    oscillator,
    samples,
    single,
    slow,
    swell,
    table,
    times,
    white,
)

# Pitch as MIDI counts, seconds it is held, loudness 0 to 1.
Voice = Callable[[Random, float, float, float], Wave]

SINE = table([1.0])
TRIANGLE = table([0 if n % 2 == 0 else (-1) ** ((n - 1) // 2) / n**2 for n in range(1, 16)])
SQUARE = table([0 if n % 2 == 0 else 1 / n for n in range(1, 22)])
SAW = table([1 / n for n in range(1, 22)])
SOFT_SAW = table([1 / n**1.6 for n in range(1, 14)])
ORGAN = table([1, 0.7, 0.35, 0.45, 0.05, 0.18, 0.02, 0.2])
REED = table([0.5, 1, 0.55, 0.7, 0.3, 0.25, 0.15, 0.1, 0.06])
PIPE = table([1, 0.16, 0.28, 0.03, 0.06])


def _struck(pitch: float, seconds: float, partials: list[tuple[float, float, float]]) -> Wave:
    """Partials (ratio, strength, seconds to fade) that die away by themselves."""
    f = hertz(pitch)
    longest = min(4.5, max(seconds * 1.4 + 0.35, 0.5))
    t = times(longest)
    total = np.zeros(len(t), dtype=np.float32)
    for ratio, strength, fade in partials:
        if f * ratio < RATE_HERTZ * 0.42:
            turn = np.float32(2 * np.pi * f * ratio)
            total += np.float32(strength) * np.exp(t * np.float32(-4.6 / fade)) * np.sin(turn * t)
    total *= swell(len(t), 0.002, min(0.3, longest * 0.5))
    return total / np.float32(max(1e-6, np.abs(total).max()))


def piano(random: Random, pitch: float, seconds: float, loudness: float) -> Wave:
    """Hammer and string; brighter when loud, the strings a little out of tune with themselves."""
    fade = 3.4 * 2 ** ((60 - pitch) / 30)
    bright = 0.35 + 0.5 * loudness
    stiff = 0.0004
    rows = [
        (n * np.sqrt(1 + stiff * n * n), bright ** (n - 1) / (1 + 0.15 * n), fade / (0.6 + 0.4 * n))
        for n in range(1, 10)
    ]
    rows += [(ratio * 1.0009, strength * 0.5, fade * 0.9) for ratio, strength, fade in rows[:4]]
    note = _struck(pitch, seconds, rows)
    knock = band(white(random, 2200), 300, 2500) * np.linspace(1, 0, 2200, dtype=np.float32) ** 3
    note[:2200] += knock * np.float32(0.06 * loudness)
    return note * np.float32(loudness)


def pluck(random: Random, pitch: float, seconds: float, loudness: float) -> Wave:
    """A plucked string: harp, guitar, lute."""
    fade = 1.7 * 2 ** ((62 - pitch) / 36)
    where = 0.23 + 0.06 * float(random.random())
    rows = [
        (n * 1.0002**n, abs(np.sin(np.pi * n * where)) / n**1.1, fade / (0.5 + 0.5 * n))
        for n in range(1, 14)
    ]
    return _struck(pitch, seconds, rows) * np.float32(loudness)


def bell(_: Random, pitch: float, seconds: float, loudness: float) -> Wave:
    """A bell or glass."""
    rows = [(0.5, 0.28, 3.2), (1, 1, 2.6), (1.19, 0.3, 1.8), (2.0, 0.5, 1.4), (2.76, 0.3, 0.9),
            (4.1, 0.16, 0.5), (5.4, 0.1, 0.35)]  # fmt: skip
    return _struck(pitch, max(seconds, 1.0), rows) * np.float32(loudness * 0.9)


def music_box(_: Random, pitch: float, seconds: float, loudness: float) -> Wave:
    """A tuned tongue of steel."""
    rows = [(1, 1, 1.6), (3.0, 0.16, 0.7), (6.2, 0.22, 0.22), (9.1, 0.08, 0.1)]
    return _struck(pitch + 12, max(seconds, 0.6), rows) * np.float32(loudness * 0.8)


def electric_piano(_: Random, pitch: float, seconds: float, loudness: float) -> Wave:
    """A tine piano by frequency modulation."""
    t = times(seconds * 1.3 + 0.5)
    f = np.float32(2 * np.pi * hertz(pitch))
    index = np.float32(0.5 + 1.5 * loudness) * np.exp(t * np.float32(-3.2))
    tone = np.sin(f * t + index * np.sin(f * t)) + 0.14 * np.exp(t * -9) * np.sin(f * 13.9 * t)
    envelope = np.exp(t * np.float32(-1.8)) * swell(len(t), 0.003, 0.25)
    return single(tone * envelope * loudness * 0.85)


def _sung(
    random: Random, shape: Wave, pitch: float, seconds: float, attack: float, release: float,
    vibrato: float,
) -> Wave:  # fmt: skip
    length = samples(seconds + release * 0.6)
    t = np.arange(length, dtype=np.float32) / np.float32(RATE_HERTZ)
    late = np.clip(t / np.float32(0.5), 0, 1)
    wobble = np.sin(2 * np.pi * np.float32(4.9 + 0.5 * random.random()) * t) * late
    frequency = np.float32(hertz(pitch)) * (1 + np.float32(vibrato) * wobble)
    return oscillator(shape, frequency, length, float(random.random())) * swell(
        length, attack, release
    )


def flute(random: Random, pitch: float, seconds: float, loudness: float) -> Wave:
    """A pipe with breath in it: flute, recorder."""
    tone = _sung(random, PIPE, pitch, seconds, 0.05, 0.12, 0.0045)
    breath = band(white(random, len(tone)), hertz(pitch) * 0.8, hertz(pitch) * 2.6)
    breath *= swell(len(tone), 0.02, 0.12) * np.float32(0.02 / (np.abs(breath).std() + 1e-6))
    return single(tone + breath * 0.6) * np.float32(0.8 * loudness)


def organ(random: Random, pitch: float, seconds: float, loudness: float) -> Wave:
    """Several ranks of pipes."""
    return _sung(random, ORGAN, pitch, seconds, 0.03, 0.14, 0.0008) * np.float32(0.6 * loudness)


def reed(random: Random, pitch: float, seconds: float, loudness: float) -> Wave:
    """A nasal reed: shawm, oboe."""
    tone = _sung(random, REED, pitch, seconds, 0.04, 0.1, 0.004)
    return band(tone, 60, 5200) * np.float32(0.6 * loudness)


def strings(random: Random, pitch: float, seconds: float, loudness: float) -> Wave:
    """Four players who never quite agree."""
    total = np.zeros(samples(seconds + 0.3), dtype=np.float32)
    for cents in (-9, -3, 4, 10):
        shift = cents / 100 + float(random.normal(0, 0.015))
        part = _sung(random, SOFT_SAW, pitch + shift, seconds, 0.12, 0.5, 0.003)
        total[: len(part)] += part[: len(total)]
    return band(total, 60, 1400 + 3800 * loudness, slope=1.0) * np.float32(0.42 * loudness)


def pad(random: Random, pitch: float, seconds: float, loudness: float) -> Wave:
    """A slow surface whose colour drifts."""
    total = np.zeros(samples(seconds + 0.9), dtype=np.float32)
    for cents in (-8, 0, 7):
        part = _sung(random, SAW, pitch + cents / 100, seconds, seconds * 0.3, 1.5, 0.0015)
        total[: len(part)] += part[: len(total)]
    dull, open_ = band(total, 40, 500, slope=1.0), band(total, 40, 2200, slope=1.0)
    drift = slow(random, len(total), 0.8)
    return (dull + (open_ - dull) * drift) * np.float32(0.4 * loudness)


def choir(random: Random, pitch: float, seconds: float, loudness: float) -> Wave:
    """Voices on an open vowel: the formants of an a."""
    total = np.zeros(samples(seconds + 0.4), dtype=np.float32)
    for _ in range(3):
        shift = float(random.normal(0, 0.06))
        part = _sung(random, SAW, pitch + shift, seconds, 0.22, 0.6, 0.006)
        total[: len(part)] += part[: len(total)]
    vowel = 1.2 * band(total, 500, 850) + band(total, 950, 1350) + 0.25 * band(total, 2300, 2900)
    return single(vowel / np.abs(vowel).max().clip(1e-6) * 0.7 * loudness)


def lead(random: Random, pitch: float, seconds: float, loudness: float) -> Wave:
    """A synthesizer's square that closes as it fades."""
    tone = _sung(random, SQUARE, pitch, seconds, 0.008, 0.1, 0.003)
    tone += _sung(random, SAW, pitch + 0.07, seconds, 0.008, 0.1, 0.003)
    fall = np.linspace(1, 0.25, len(tone), dtype=np.float32)
    dull = band(tone, 40, 700, slope=1.0)
    tone = (dull + (band(tone, 40, 4200) - dull) * fall) * swell(len(tone), 0.005, 0.05)
    return tone * np.float32(0.4 * loudness)


def bass(_: Random, pitch: float, seconds: float, loudness: float) -> Wave:
    """A round bass."""
    length = samples(seconds + 0.1)
    tone = oscillator(SINE, hertz(pitch), length) + 0.35 * oscillator(
        TRIANGLE, hertz(pitch + 12), length
    )
    fall = np.exp(np.linspace(0, -1.6, length))
    return np.tanh(tone * np.float32(1.2)) * fall * swell(length, 0.01, 0.1) * np.float32(loudness)


def _plain(shape: Wave, gain: float) -> Voice:
    def voice(_: Random, pitch: float, seconds: float, loudness: float) -> Wave:
        length = samples(seconds)
        tone = oscillator(shape, hertz(pitch), length) * swell(length, 0.006, seconds * 0.55)
        return tone * np.float32(gain * loudness)

    return voice


def kick(_: Random, __: float, ___: float, loudness: float) -> Wave:
    """A bass drum."""
    t = times(0.34)
    phase = 2 * np.pi * (46 * t + 5.2 * (1 - np.exp(t * -26)))
    return single(np.sin(phase) * np.exp(t * -9) * swell(len(t), 0.001, 0.05) * loudness)


def snare(random: Random, _: float, __: float, loudness: float) -> Wave:
    """A snare drum, or a clap of two hands."""
    t = times(0.24)
    skin = np.sin(2 * np.pi * 186 * t) * np.exp(t * -26)
    wire = band(white(random, len(t)), 1200, 8000) * np.exp(t * -17)
    return single((0.5 * skin + 0.5 * wire) * swell(len(t), 0.001, 0.04) * loudness)


def hat(random: Random, _: float, seconds: float, loudness: float) -> Wave:
    """A cymbal, closed; the longer the more open."""
    t = times(0.05 + min(seconds, 0.4))
    noise = band(white(random, len(t)), 6500, 15_000)
    fall = np.exp(t * np.float32(-4.5 / (0.04 + min(seconds, 0.4) * 0.4)))
    return single(noise * fall * swell(len(t), 0.001, 0.02) * 0.5 * loudness)


def wood(_: Random, pitch: float, __: float, loudness: float) -> Wave:
    """A block of wood."""
    rows = [(1.0, 1.0, 0.09), (2.7, 0.5, 0.05), (5.1, 0.2, 0.03)]
    return (
        _struck(pitch + 12, 0.1, rows)[: samples(0.25)]
        * swell(samples(0.25), 0.001, 0.05)
        * np.float32(loudness)
    )


VOICES: Mapping[str, Voice] = {
    "piano": piano, "pluck": pluck, "bell": bell, "music_box": music_box,
    "electric_piano": electric_piano, "flute": flute, "organ": organ, "reed": reed,
    "strings": strings, "pad": pad, "choir": choir, "lead": lead, "bass": bass, "kick": kick,
    "snare": snare, "hat": hat, "wood": wood, "sine": _plain(SINE, 0.9),
    "triangle": _plain(TRIANGLE, 0.8), "square": _plain(SQUARE, 0.4),
}  # fmt: skip
