"""A small piece as a list of notes: a tune with a shape, chords that lead somewhere, a bass."""

from __future__ import annotations

from dataclasses import dataclass

from services.media.backends.builtin.noise import Random
from services.media.backends.builtin.sound.hearing import Hearing

BEATS_A_BAR = 4
# What rings on after the last beat.
TAIL_SECONDS = 1.3


@dataclass(frozen=True, slots=True)
class Note:
    """One tone: when and how long in beats, where from -1 (left) to 1."""

    at: float
    beats: float
    pitch: float
    loudness: float
    voice: str
    pan: float = 0.0


@dataclass(frozen=True, slots=True)
class Score:
    """Notes and how fast they are played."""

    notes: tuple[Note, ...]
    seconds_a_beat: float


def beats_for(seconds: float, beats_per_minute: float) -> tuple[int, float]:
    """How many beats fill a time, and how long one is then: the tempo gives way, not the end."""
    room = max(seconds - TAIL_SECONDS, seconds * 0.55)
    beats = max(2, round(room * beats_per_minute / 60))
    if beats > BEATS_A_BAR:
        beats -= beats % 2
    return beats, room / beats


_MAJOR = ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 1, 4), (0, 2, 3, 4), (3, 0, 4, 5))
_MINOR = ((0, 5, 2, 6), (0, 3, 6, 2), (0, 6, 5, 6), (0, 3, 5, 4), (0, 2, 6, 3))


def lyrical(hearing: Hearing, random: Random, seconds: float) -> Score:
    """A tune over chords, as songs are built: a phrase, its variation, a contrast, the end."""
    beats, beat = beats_for(seconds, hearing.beats_per_minute)
    chords = _chords(hearing, random, beats)
    notes = _harmony(hearing, random, chords, beats)
    notes += tune(hearing, random, chords, beats)
    notes += _bass(hearing, random, chords, beats)
    if hearing.drums:
        notes += drums(hearing, random, beats)
    return Score(tuple(notes), beat)


def _chords(hearing: Hearing, random: Random, beats: int) -> list[tuple[int, int, int]]:
    """First beat, beats and root (a degree) of each chord; the last is the tonic."""
    rows = _MAJOR if hearing.is_major else _MINOR
    row = rows[int(random.integers(len(rows)))]
    long = BEATS_A_BAR if beats >= 12 else 2
    found, at, index = [], 0, 0
    while at < beats:
        length = min(long, beats - at)
        found.append((at, length, row[index % 4]))
        at, index = at + length, index + 1
    start, length, _ = found[-1]
    found[-1] = (start, length, 0)
    if len(found) > 2:
        start, length, _ = found[-2]
        found[-2] = (start, length, 4 if hearing.is_major or random.random() < 0.5 else 6)
    return found


def _close(hearing: Hearing, root: int, before: list[int]) -> list[int]:
    """The triad in the position nearest to the chord before it."""
    degrees = [root, root + 2, root + 4]
    if not before:
        return sorted(hearing.pitch(d) for d in degrees)
    found = []
    for degree, old in zip(degrees, before, strict=True):
        pitch = hearing.pitch(degree)
        found.append(min((pitch + 12 * k for k in range(-2, 3)), key=lambda p: abs(p - old)))
    return sorted(found)


def _harmony(
    hearing: Hearing, random: Random, chords: list[tuple[int, int, int]], beats: int
) -> list[Note]:
    notes: list[Note] = []
    held = hearing.harmony in ("pad", "strings", "choir", "organ", "reed", "flute")
    pattern = [int(i) for i in random.permutation(3)] + [int(random.integers(3))]
    step = 0.5 if hearing.density > 0.45 else 1.0
    pitches: list[int] = []
    for start, length, root in chords:
        pitches = _close(hearing, root, pitches)
        if held:
            notes += [
                Note(start, length, pitch, 0.42, hearing.harmony, (i - 1) * 0.5)
                for i, pitch in enumerate(pitches)
            ]
        else:
            for index in range(int(length / step)):
                pitch = pitches[pattern[index % 4]] + (12 if index % 8 == 5 else 0)
                loud = 0.5 if index % 4 == 0 else 0.36
                notes.append(Note(start + index * step, step * 1.6, pitch, loud,
                                  hearing.harmony, 0.45 if index % 2 else -0.45))  # fmt: skip
    if not held:
        notes += [
            Note(start, length, hearing.pitch(root), 0.2, "pad") for start, length, root in chords
        ]
    # The end stays.
    notes += [Note(beats, 2, p, 0.4, hearing.harmony, 0.0) for p in pitches]
    return notes


_CELLS = (
    (1.0, 0.5, 0.5, 2.0), (1.5, 0.5, 1.0, 1.0), (0.5, 0.5, 1.0, 2.0), (1.0, 1.0, 0.5, 0.5, 1.0),
    (0.5, 1.0, 0.5, 2.0), (2.0, 1.0, 1.0), (1.5, 0.5, 2.0), (0.75, 0.25, 1.0, 2.0),
)  # fmt: skip
_BUSY = (
    (0.5, 0.5, 0.5, 0.5, 1.0, 1.0), (0.5, 0.25, 0.25, 1.0, 0.5, 0.5, 1.0),
    (0.25, 0.25, 0.5, 0.5, 0.5, 1.0, 1.0), (1.0, 0.5, 0.5, 0.5, 0.5, 1.0),
)  # fmt: skip


def tune(
    hearing: Hearing, random: Random, chords: list[tuple[int, int, int]], beats: int
) -> list[Note]:
    """A tune: one figure, repeated, varied, answered; its strong notes belong to the chord."""
    cells = _BUSY if hearing.density > 0.65 else _CELLS
    first, second = (cells[int(i)] for i in random.choice(len(cells), 2, replace=False))
    contour = [int(i) for i in random.choice([-2, -1, -1, 1, 1, 2, 3], 8)]
    answer = [-step for step in contour]
    rises = {"flute", "music_box", "bell"}
    octave = 1 if hearing.lead in rises or hearing.tonic < 50 else 0
    low, high = 5, 16
    notes: list[Note] = []
    degree, at, phrase = 9, 0.0, 0
    form = "AABA"
    while at < beats:
        part = form[phrase % 4]
        rhythm, steps = (first, contour) if part == "A" else (second, answer)
        for index, length in enumerate(rhythm):
            if at >= beats:
                break
            if index or phrase:
                degree += steps[(index + (phrase == 1)) % 8]
            if degree < low or degree > high:
                degree += 2 * (low - degree) if degree < low else 2 * (high - degree)
            if at % 2 == 0:
                degree = _to_chord(degree, _root_at(chords, at))
            loud = 0.78 if at % BEATS_A_BAR == 0 else 0.62
            # Somebody has to breathe.
            rest = index == len(rhythm) - 1 and random.random() < 0.55 - hearing.density * 0.4
            if index == 0 or random.random() > 0.1:
                notes.append(Note(at, min(length * (0.7 if rest else 0.96), beats - at + 0.5),
                                  hearing.pitch(degree, octave), loud, hearing.lead,
                                  0.12))  # fmt: skip
            at += length
        phrase += 1
    last = 7 if degree < 11 else 14
    notes.append(Note(beats, 2.0, hearing.pitch(last, octave), 0.7, hearing.lead, 0.12))
    return [note for note in notes if note.at < beats or note.at == beats]


def _root_at(chords: list[tuple[int, int, int]], at: float) -> int:
    return next((root for start, length, root in chords if start <= at < start + length), 0)


def _to_chord(degree: int, root: int) -> int:
    near = sorted(range(degree - 2, degree + 3), key=lambda d: abs(d - degree))
    return next((d for d in near if (d - root) % 7 in (0, 2, 4)), degree)


def _bass(
    hearing: Hearing, random: Random, chords: list[tuple[int, int, int]], beats: int
) -> list[Note]:
    notes: list[Note] = []
    for start, length, root in chords:
        pitch = hearing.pitch(root, -1)
        pitch -= 12 if pitch > 50 else 0
        if hearing.density > 0.6:
            for half in range(length * 2):
                jump = 12 if half % 4 == 3 else 0
                notes.append(Note(start + half / 2, 0.42, pitch + jump, 0.62, "bass"))
        else:
            notes.append(Note(start, min(length, 3), pitch, 0.62, "bass"))
            if length > 2 and random.random() < 0.7:
                fifth = hearing.pitch(root + 4, -1)
                notes.append(Note(start + 2.5, 1.4, fifth - (12 if fifth > 52 else 0), 0.45,
                                  "bass"))  # fmt: skip
    tonic = hearing.pitch(0, -1)
    return [*notes, Note(beats, 2, tonic - (12 if tonic > 50 else 0), 0.6, "bass")]


def drums(hearing: Hearing, random: Random, beats: int) -> list[Note]:
    """A beat of kick, snare and hat; how busy follows the density."""
    notes: list[Note] = []
    sixteen = hearing.density > 0.8
    skip = float(random.choice([1.5, 2.5, 3.5]))
    for at in range(beats):
        place = at % BEATS_A_BAR
        if place in (0, 2) or sixteen:
            notes.append(Note(at, 0.3, 40, 0.85, "kick"))
        if place in (1, 3):
            notes.append(Note(at, 0.3, 50, 0.5, "snare", 0.1))
        if place == int(skip) and random.random() < 0.8:
            notes.append(Note(at + skip % 1, 0.3, 40, 0.6, "kick"))
        for half in range(4 if sixteen else 2):
            off = half / (4 if sixteen else 2)
            loud = 0.16 if half == 0 else 0.26 if off == 0.5 else 0.12
            notes.append(Note(at + off, 0.05, 70, loud, "hat", -0.3))
    return [*notes, Note(beats, 0.3, 40, 0.8, "kick"), Note(beats, 0.9, 70, 0.3, "hat", -0.2)]
