"""Music and textures from words: the same prompt, recipe, seed and length give the same sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from services.media.backends.builtin.noise import Random
from services.media.backends.builtin.sound.hearing import MODES, Hearing, listen, opposite
from services.media.backends.builtin.sound.manners import MANNERS
from services.media.backends.builtin.sound.score import Score, lyrical
from services.media.backends.builtin.sound.signal import (
    Track,
    Wave,
    band,
    finish,
    reverb,
    samples,
    slow,
    swell,
    white,
)
from services.media.backends.builtin.sound.textures import TEXTURES
from services.media.backends.builtin.sound.voices import VOICES
from services.media.backends.builtin.words import Scene

Step = Callable[[float], None]
# The room of each manner: seconds an echo takes, and how much of it is heard.
_ROOMS = {"bauhaus": (0.5, 0.1), "renaissance": (2.8, 0.5), "overdrive": (1.2, 0.25),
          "dada": (0.6, 0.16)}  # fmt: skip


def render_music(
    scene: Scene, manner: str, random: Random, seconds: float, step: Step
) -> tuple[Wave, dict[str, str]]:
    """Return a piece of music, stereo, and what it is made of.

    `manner` is one of the visual languages; `step` is told the finished part.
    """
    hearing = listen(scene, random)
    if manner == "theopposite":
        facts = _facts(opposite(hearing))
    else:
        facts = _facts(hearing)
    if manner == "dada":
        wave = _collage(scene, hearing, random, seconds, step)
    else:
        score = MANNERS[manner](hearing, random, seconds)
        facts["beats_per_minute"] = f"{60 / score.seconds_a_beat:.0f}"
        wave = play(score, random, seconds, step, share=0.72)
        bed = _bed(hearing.textures[:2], random, len(wave), lambda f: step(0.72 + 0.1 * f))
        wave += bed * np.float32(0.5 * _rms(wave) / (_rms(bed) + 1e-9) * _BED.get(manner, 0.55))
    room, amount = _ROOMS.get(manner, (1.1 + 2.2 * hearing.space, 0.16 + 0.34 * hearing.space))
    wave = reverb(random, wave, room, amount)
    if manner == "stillepost":
        wave = _worn(wave, random)
    step(0.92)
    drive = 2.6 if manner == "overdrive" else 1.0
    return finish(wave, fade_out_seconds=min(1.2, seconds * 0.3), drive=drive), facts


_BED = {"bauhaus": 0.0, "renaissance": 0.25, "overdrive": 0.5, "stillepost": 0.45}


def render_texture(
    scene: Scene, manner: str, random: Random, seconds: float, step: Step
) -> tuple[Wave, dict[str, str]]:
    """Return what the scene would sound like, with a few tones of its mood far behind."""
    hearing = listen(scene, random)
    if manner == "theopposite":
        hearing = opposite(hearing)
    if manner == "overdrive":
        more = (*hearing.textures, "rumble", "crowd", "bells")
        hearing = replace(hearing, textures=tuple(dict.fromkeys(more))[:5])
    if manner == "dada":
        wave = _collage(scene, hearing, random, seconds, step)
    else:
        wave = _bed(hearing.textures, random, samples(seconds), lambda f: step(0.6 * f))
        calm = replace(hearing, density=0.2, drums=False, harmony="pad",
                       lead=hearing.lead if hearing.lead in ("bell", "flute", "music_box",
                       "piano", "pluck") else "bell")  # fmt: skip
        score = MANNERS[manner if manner in ("bauhaus", "renaissance") else "landscape"](
            calm, random, seconds
        )
        # Every third note: memories of a tune.
        far = Score(tuple(n for i, n in enumerate(score.notes) if n.voice in ("pad", "sine")
                          or i % 3 == 0), score.seconds_a_beat)  # fmt: skip
        tones = play(far, random, seconds, lambda f: step(0.6 + f), share=0.25)
        tones = reverb(random, tones, 3.0, 0.9, dark=3000)
        level = 0.55 if manner in ("bauhaus", "renaissance") else 0.3
        wave += tones * np.float32(level * _rms(wave) / (_rms(tones) + 1e-9))
    wave = reverb(random, wave, 0.8 + 2.0 * hearing.space, 0.12 + 0.2 * hearing.space)
    if manner == "stillepost":
        wave = _worn(wave, random)
    step(0.92)
    drive = 2.2 if manner == "overdrive" else 1.0
    return finish(wave, fade_out_seconds=min(1.5, seconds * 0.35), drive=drive), _facts(hearing)


def play(score: Score, random: Random, seconds: float, step: Step, *, share: float) -> Wave:
    """The notes of a score as a stereo sound; tells up to `share` of the whole."""
    track = Track(samples(seconds))
    drums = ("kick", "snare", "hat", "wood")
    notes = sorted(score.notes, key=lambda note: note.at)
    for index, note in enumerate(notes):
        # Nobody plays like a clock.
        late = 0.0 if note.voice in drums else float(random.normal(0, 0.004))
        at = max(0, samples(note.at * score.seconds_a_beat + late + 0.02) - 1)
        length = max(0.05, note.beats * score.seconds_a_beat)
        tone = VOICES[note.voice](random, note.pitch, length, note.loudness)
        track.add(tone, at, 0.5, note.pan)
        if index % 8 == 0:
            step(share * index / len(notes))
    return track.wave


def _bed(names: tuple[str, ...], random: Random, length: int, step: Step) -> Wave:
    track = Track(length)
    for index, name in enumerate(names):
        wave = TEXTURES[name](random, length)
        rms = float(np.sqrt(np.mean(wave * wave))) + 1e-6
        # Sparse sounds have little strength on average and must not become louder for it.
        gain = min(0.1 / rms, 0.75) * (1.0 if index == 0 else 0.7)
        side = 0.0 if index == 0 else 0.55 * (-1) ** index
        drift = slow(random, length, 0.25) * np.float32(0.5) + np.float32(0.6)
        # The same, a little later on the other side: noise becomes wide.
        track.add(wave * drift, 0, gain * 0.75, side - 0.45)
        track.add(np.roll(wave, 797) * drift[::-1], 0, gain * 0.75, side + 0.45)
        step((index + 1) / len(names))
    return track.wave


def _collage(scene: Scene, hearing: Hearing, random: Random, seconds: float, step: Step) -> Wave:
    """Tzara's recipe with a tape: cut, shake, glue in the order drawn; some pieces backwards."""
    sources: list[Wave] = []
    names = list(VOICES)
    for turn in range(3):
        other = replace(hearing, mode=str(random.choice(list(MODES))),
                        tonic=hearing.tonic + int(random.integers(-6, 7)),
                        beats_per_minute=float(random.uniform(60, 160)),
                        lead=hearing.lead if turn == 0 else str(random.choice(names[:8])),
                        drums=turn == 1)  # fmt: skip
        sources.append(play(lyrical(other, random, 4.0), random, 4.0, lambda _: None, share=0))
        step(0.12 * (turn + 1))
    found = (*hearing.textures[:3], "clock", "machine", "bells", "crowd")
    for name in dict.fromkeys(found):
        sources.append(_bed((name,), random, samples(2.5), lambda _: None) * np.float32(1.6))
    step(0.5)
    sources = [source / np.float32(_rms(source) / 0.15 + 1e-9) for source in sources]
    track = Track(samples(seconds))
    at, order = 0, -1
    while at < len(track.wave):
        step(min(0.85, 0.5 + 0.35 * at / len(track.wave)))
        order = (order + int(random.integers(1, len(sources)))) % len(sources)
        source = sources[order]
        length = min(samples(float(random.choice([0.11, 0.18, 0.25, 0.37, 0.52, 0.9]))),
                     len(track.wave) - at)  # fmt: skip
        start = int(random.integers(0, max(1, len(source) - 2 * length - 1)))
        speed = float(random.choice([0.5, 0.75, 1, 1, 1, 1.5, 2]))
        where = start + np.arange(length) * speed
        piece = source[np.minimum(where.astype(np.int64), len(source) - 1)]
        if random.random() < 0.3:
            piece = piece[::-1]
        piece = piece * swell(length, 0.005, 0.007)[:, None]
        track.add(piece, at, float(random.uniform(0.7, 1.1)), float(random.uniform(-0.8, 0.8)))
        pause = float(random.choice([0, 0, 0, 0.06, 0.16])) if random.random() < 0.6 else 0.0
        at += length + (samples(pause) if pause else 0)
    pling = VOICES["bell"](random, 88, 1.0, 1.0)
    track.add(pling, max(0, int(len(track.wave) * float(random.uniform(0.3, 0.7)))), 0.4, -0.3)
    return track.wave


def _worn(wave: Wave, random: Random) -> Wave:
    """As if copied from tape to tape: duller, noisier and less steady the longer it goes on."""
    length = len(wave)
    age = np.linspace(0, 1, length, dtype=np.float32)
    wow = np.cumsum((slow(random, length, 2.5) - 0.5) * age * 0.02)
    where = np.clip(np.arange(length) + wow, 0, length - 1).astype(np.int64)
    hiss = band(white(random, length), 1500, 9000)
    hiss *= np.float32(0.06 * _rms(wave)) / np.float32(hiss.std() + 1e-9) * age
    worn = np.empty_like(wave)
    for side in range(2):
        tape = wave[where, side]
        worn[:, side] = tape * (1 - age) + band(tape, 250, 1500, slope=1.0) * age * 1.5 + hiss
    return worn


def _rms(wave: Wave) -> float:
    return float(np.sqrt(np.mean(wave * wave)))


def _facts(hearing: Hearing) -> dict[str, str]:
    return {"mode": hearing.mode, "lead": hearing.lead, "harmony": hearing.harmony,
            "textures": ", ".join(hearing.textures)}  # fmt: skip
