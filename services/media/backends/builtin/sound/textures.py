"""Sounds of the world, synthesised: each fills a mono wave of the given length, about 1 loud."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from services.media.backends.builtin.noise import Random
from services.media.backends.builtin.sound import creatures
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
    times,
    white,
)
from services.media.backends.builtin.sound.voices import SAW, SINE, SOFT_SAW, VOICES

Texture = Callable[[Random, int], Wave]


def rain(random: Random, length: int) -> Wave:
    """Drops near and far."""
    far = band(white(random, length), 900, 9000, slope=0.8)
    far *= 0.7 + 0.5 * slow(random, length, 0.7)

    def drop() -> Wave:
        t = times(0.05)
        pitch = float(random.uniform(1400, 5200))
        loud = float(random.random() ** 2)
        return single(np.sin(2 * np.pi * pitch * t * (1 + 2 * t)) * np.exp(t * -95) * loud)

    return even(far * 0.09 / far.std() + scatter(random, length, 55, drop) * np.float32(0.5))


def sea(random: Random, length: int) -> Wave:
    """Waves that come and draw back."""
    period = float(random.uniform(4.5, 6.5))
    t = np.arange(length, dtype=np.float32) / np.float32(RATE_HERTZ)
    phase = (t / np.float32(period) + np.float32(random.random())) % 1
    crest = np.where(phase < 0.35, phase / 0.35, np.exp(-(phase - 0.35) * 4.2))
    noise = white(random, length)
    deep, foam = band(noise, 40, 500, slope=0.8), band(noise, 1200, 7500, slope=0.8)
    wave = deep / deep.std() * (0.35 + 0.65 * crest) + foam / foam.std() * crest**2 * 0.75
    return even(wave.astype(np.float32))


def water(random: Random, length: int) -> Wave:
    """A brook: bubbles that rise in pitch."""

    def bubble() -> Wave:
        t = times(float(random.uniform(0.04, 0.12)))
        f = float(random.uniform(350, 1500)) * (1 + t * float(random.uniform(2, 8)))
        tone = np.sin(2 * np.pi * np.cumsum(f) / RATE_HERTZ)
        return single(tone * swell(len(t), 0.006, 0.06) * float(random.random() ** 2))

    bed = band(white(random, length), 400, 2600, slope=0.8)
    return even(scatter(random, length, 34, bubble) + bed / bed.std() * np.float32(0.07))


def wind(random: Random, length: int) -> Wave:
    """Gusts; the pitch of the wind follows its strength."""
    noise = white(random, length)
    gust = slow(random, length, 0.6)
    low, high = band(noise, 90, 420), band(noise, 420, 1500)
    wave = low / low.std() * (0.3 + gust) + high / high.std() * gust**2.2 * 0.9
    whistle = oscillator(SINE, 420 + 380 * slow(random, length, 0.5), length)
    return even((wave + whistle * gust**3 * 0.5).astype(np.float32))


def thunder(random: Random, length: int) -> Wave:
    """One crack and its rolling."""
    t = np.arange(length, dtype=np.float32) / np.float32(RATE_HERTZ)
    start = min(0.25 * length / RATE_HERTZ, 1.5)
    since = np.maximum(t - np.float32(start), 0)
    noise = white(random, length)
    roll = band(noise, 25, 160) * slow(random, length, 7) * np.exp(since * -0.75)
    crack = band(noise, 300, 5000) * np.exp(since * -9)
    rise = np.clip((t - np.float32(start)) / np.float32(0.02), 0, 1)
    return even(((roll / roll.std() + crack / crack.std() * 0.5) * rise).astype(np.float32))


def machine(random: Random, length: int) -> Wave:
    """Wheels, a piston, steam."""
    beat = float(random.choice([0.4, 0.5, 0.6]))
    t = times(0.2)
    thud = (np.sin(2 * np.pi * 75 * t) * np.exp(t * -22)).astype(np.float32)
    hiss = (band(white(random, len(t)), 2500, 9000) * np.exp(t * -26)).astype(np.float32)
    clank = VOICES["bell"](random, 50, 0.2, 1.0)[: samples(0.2)] * swell(samples(0.2), 0.001, 0.15)
    total = pulse(length, beat, [(0, 1.0), (0.5, 0.45)], lambda loud: thud * np.float32(loud))
    total += pulse(length, beat * 2, [(0.25, 0.5)], lambda loud: hiss * np.float32(loud))
    total += pulse(length, beat * 4, [(0.75, 0.35)], lambda loud: clank * np.float32(loud))
    hum = oscillator(SOFT_SAW, 55.0, length) * np.float32(0.12)
    return even(total + hum)


def train(random: Random, length: int) -> Wave:
    """Wheels over the joints of the rails."""
    t = times(0.11)
    knock = (band(white(random, len(t)), 120, 900) * np.exp(t * -38)).astype(np.float32)
    beats = [(0, 1.0), (0.16, 0.8), (0.55, 0.9), (0.71, 0.7)]
    roll = band(white(random, length), 50, 380)
    return even(pulse(length, 1.05, beats, lambda loud: knock * np.float32(loud)) * 1.2
                 + roll / roll.std() * np.float32(0.14))  # fmt: skip


def city(random: Random, length: int) -> Wave:
    """Traffic that passes, a horn far away."""
    hum = band(white(random, length), 45, 300, slope=0.8) * (0.5 + slow(random, length, 0.5))

    def passing() -> Wave:
        n = samples(2.2)
        noise = band(white(random, n), 250, 1800, slope=0.8)
        return single(noise / noise.std() * np.hanning(n) ** 2 * 0.4)

    def horn() -> Wave:
        n = samples(0.35)
        two = oscillator(SOFT_SAW, 392.0, n) + oscillator(SOFT_SAW, 494.0, n)
        return band(two, 300, 1800) * swell(n, 0.03, 0.12) * np.float32(0.22)

    total = hum / hum.std() * np.float32(0.3) + scatter(random, length, 0.4, passing)
    return even(total + scatter(random, length, 0.22, horn))


def clock(random: Random, length: int) -> Wave:
    """Tick, tock."""
    high, low = (VOICES["wood"](random, pitch, 0.1, 1.0) for pitch in (84.0, 79.0))
    return pulse(length, 1.0, [(0, 1.0), (0.5, -0.8)],
                  lambda loud: high if loud > 0 else low * np.float32(0.8))  # fmt: skip


def fire(random: Random, length: int) -> Wave:
    """Flames and crackling wood."""

    def crack() -> Wave:
        t = times(0.02)
        loud = float(random.random() ** 3)
        return single(white(random, len(t)) * np.exp(t * -260) * loud)

    bed = band(white(random, length), 60, 600, slope=0.8) * (0.6 + slow(random, length, 3))
    return even(bed / bed.std() * np.float32(0.16) + scatter(random, length, 26, crack))


def bells(random: Random, length: int) -> Wave:
    """Bells of a tower, not quite together."""
    pitches = [52.0, 55.0, 59.0, 64.0]
    return even(scatter(random, length, 1.1,
                          lambda: VOICES["bell"](random, float(random.choice(pitches)), 3.0,
                                                 0.6 + 0.4 * float(random.random()))))  # fmt: skip


def electric(random: Random, length: int) -> Wave:
    """A robot thinks: short tones on a grid."""
    grid = samples(0.105)
    total = np.zeros(length, dtype=np.float32)
    row = random.choice([60, 63, 67, 70, 72, 75, 79, 84], 8)
    for index in range(length // grid):
        if random.random() < 0.62:
            tone = VOICES["square"](random, float(row[index % 8]), 0.09, 0.8)
            part = tone[: length - index * grid]
            total[index * grid : index * grid + len(part)] += part
    return even(band(total, 80, 5200))


def drone(random: Random, length: int) -> Wave:
    """The hum of something very large: space, a cave, fog."""
    total = np.zeros(length, dtype=np.float32)
    root = float(random.choice([41.2, 46.25, 55.0]))
    for ratio in (1, 1.5, 2.003, 3.01, 4.02):
        part = oscillator(SOFT_SAW, root * ratio, length, float(random.random()))
        total += part * slow(random, length, 0.45) / np.float32(ratio**0.8)
    air = band(white(random, length), 900, 4200) * slow(random, length, 0.5) ** 2
    return even(band(total, 30, 900) + air / air.std() * np.float32(0.03))


def rumble(random: Random, length: int) -> Wave:
    """A motor, a rocket."""
    noise = band(white(random, length), 30, 420)
    turn = oscillator(SAW, (58 + 40 * slow(random, length, 0.6)).astype(np.float32), length)
    return even(noise / noise.std() * np.float32(0.5) + band(turn, 40, 900) * np.float32(0.9))


TEXTURES: Mapping[str, Texture] = {
    "rain": rain, "sea": sea, "water": water, "wind": wind, "thunder": thunder,
    "birds": creatures.birds, "crickets": creatures.crickets, "bees": creatures.bees,
    "cat": creatures.cat, "dog": creatures.dog, "horse": creatures.horse, "machine": machine,
    "train": train, "city": city, "clock": clock, "heart": creatures.heart, "fire": fire,
    "bells": bells, "steps": creatures.steps, "electric": electric, "drone": drone,
    "rumble": rumble, "crowd": creatures.crowd,
}  # fmt: skip
