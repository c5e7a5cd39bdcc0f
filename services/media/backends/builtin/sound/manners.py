"""How the attitudes make music: a score each, in the manner of what the recipe stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from services.media.backends.builtin.noise import Random
from services.media.backends.builtin.sound.hearing import Hearing, opposite
from services.media.backends.builtin.sound.score import (
    Note,
    Score,
    beats_for,
    lyrical,
)

Compose = Callable[[Hearing, Random, float], Score]


def bauhaus(hearing: Hearing, random: Random, seconds: float) -> Score:
    """Three basic tones, each with a pattern of its own length over one grid: point, line, plane.

    The patterns are Euclid's: so many beats spread as evenly as can be over so many places.
    """
    beats, beat = beats_for(seconds, min(132.0, max(92.0, hearing.beats_per_minute)))
    row = [hearing.pitch(d, 1) for d in (0, 2, 4, 5)]
    turn = int(random.integers(4))
    notes: list[Note] = []
    plans = (
        ("sine", int(random.choice([3, 5])), 8, 0, 0.62, -0.75, 0.45),
        ("triangle", int(random.choice([4, 5])), 12, 12, 0.5, 0.75, 0.34),
        ("square", int(random.choice([3, 7])), 16, -12, 0.42, 0.0, 0.2),
    )
    for order, (voice, hits, places, shift, loud, pan, held) in enumerate(plans):
        enters = order * beats // 5
        strikes = 0
        for slot in range(beats * 4):
            at = slot / 4
            if at < enters or (slot * hits) % places >= hits:
                continue
            pitch = row[(strikes + turn * (order + 1)) % (4 if order else 3)] + shift
            notes.append(Note(at, held, pitch, loud, voice,
                              pan))  # fmt: skip
            strikes += 1
    notes += [Note(float(at), 0.2, 60 + 7 * (at % 4 == 0), 0.4, "wood", 0.3) for at in range(beats)]
    notes += [Note(float(at), 3.2, hearing.pitch(0, -1), 0.5, "sine") for at in range(0, beats, 4)]
    end = [Note(beats, 2, row[0] + 12 * i, 0.5, v, 0.0) for i, v in enumerate(("sine", "triangle"))]
    return Score((*notes, *end), beat)


_CONSONANT = frozenset((0, 3, 4, 7, 8, 9))
_PERFECT = frozenset((0, 7))


def renaissance(hearing: Hearing, random: Random, seconds: float) -> Score:
    """Three voices that imitate one another in a church mode.

    A subject is answered a fifth below; the third voice is found note by note: consonant with the
    others, by steps where it can, never two perfect intervals in a row in the same direction.
    """
    hearing = replace(hearing, mode=hearing.mode if hearing.mode in ("ionian", "aeolian") else
                      "mixolydian" if hearing.is_major else "dorian")  # fmt: skip
    beats, beat = beats_for(seconds, min(108.0, max(76.0, hearing.beats_per_minute + 8)))
    subject, at, degree = [], 0.0, int(random.choice([7, 9, 11]))
    lengths = [2.0, 1.0, 1.0, 1.5, 0.5, 1.0, 1.0]
    steps = [0, int(random.choice([1, -1])), int(random.choice([1, 2, -2])), -1, -1, 1,
             int(random.choice([-1, 1, -2]))]  # fmt: skip
    while at < beats:
        for length, step in zip(lengths, steps, strict=True):
            degree += step
            degree += -7 if degree > 14 else 7 if degree < 5 else 0
            subject.append((at, length, degree))
            at += length
    wind = "organ" if "organ" in (hearing.lead, hearing.harmony) else "flute"
    voices = [(wind, -0.45), ("reed", 0.45), ("pluck", 0.0)]
    top = [(a, n, hearing.pitch(d)) for a, n, d in subject if a < beats]
    delay = 2.0 if beats <= 8 else 4.0
    middle: list[tuple[float, float, int]] = []
    old = hearing.pitch(4)
    for a, n, d in subject:
        if a + delay >= beats:
            break
        above = _sounding(top, a + delay)
        wish = hearing.pitch(d - 4)
        old = _fitting(hearing, wish, [above] if above else [], old, 0, 10)
        middle.append((a + delay, n, old))
    low: list[tuple[float, float, int]] = []
    old = hearing.pitch(0, -1)
    for half in range(0, beats, 2):
        others = [p for p in (_sounding(top, half), _sounding(middle, half)) if p]
        old = _fitting(hearing, old, others, old, -7, 4)
        low.append((float(half), 2.0, old))
    if low:
        low[0] = (0.0, 2.0, hearing.pitch(0, -1))
    notes = [
        Note(a, min(n, beats - a), p, 0.55, voice, pan)
        for (voice, pan), part in zip(voices, (top, middle, low), strict=True)
        for a, n, p in part
    ]
    close = (hearing.pitch(7), hearing.pitch(4), hearing.pitch(0, -1))
    notes += [Note(beats, 2.2, p, 0.55, voice, pan)
              for p, (voice, pan) in zip(close, voices, strict=True)]  # fmt: skip
    notes += [Note(a, 0.2, 52, 0.28, "wood", 0.2) for a in range(0, beats, 2) if hearing.drums]
    return Score(tuple(notes), beat)


def _sounding(part: list[tuple[float, float, int]], at: float) -> int | None:
    return next((p for a, n, p in part if a <= at < a + n), None)


def _fitting(
    hearing: Hearing, wish: int, others: list[int], before: int, low: int, high: int
) -> int:
    """The pitch nearest to the wish that goes with the other voices."""

    def cost(pitch: int) -> float:
        apart = [abs(other - pitch) % 12 for other in others]
        rough = sum(8 for interval in apart if interval not in _CONSONANT)
        parallel = sum(3 for interval in apart if interval in _PERFECT and pitch != before)
        return rough + parallel + abs(pitch - wish) * 0.7 + max(0, abs(pitch - before) - 4) * 0.6

    return min((hearing.pitch(d) for d in range(low, high)), key=cost)


def overdrive(hearing: Hearing, random: Random, seconds: float) -> Score:
    """Everything, twice: faster, in octaves, with every drum, rising to the end."""
    hearing = replace(hearing, beats_per_minute=min(168.0, hearing.beats_per_minute * 1.35),
                      density=1.0, drums=True,
                      lead=hearing.lead if hearing.lead != "wood" else "lead")  # fmt: skip
    score = lyrical(hearing, random, seconds)
    last = max(note.at for note in score.notes)
    notes = []
    for note in score.notes:
        grown = 0.7 + 0.5 * note.at / last
        notes.append(replace(note, loudness=min(1.0, note.loudness * grown)))
        if note.voice == hearing.lead:
            notes += [replace(note, pitch=note.pitch + 12, voice="lead", pan=-0.7, loudness=0.5),
                      replace(note, pitch=note.pitch - 12, voice="organ", pan=0.7,
                              loudness=0.4)]  # fmt: skip
    roll = [Note(last - (16 - i) / 8, 0.1, 50, 0.2 + 0.04 * i, "snare", 0.3 * (-1) ** i)
            for i in range(16)]  # fmt: skip
    crash = [Note(last, 0.4, 70, 0.8, "hat", pan) for pan in (-0.8, 0.8)]
    notes += [note for note in roll if note.at >= 0] + crash
    return Score(tuple(notes), score.seconds_a_beat)


def theopposite(hearing: Hearing, random: Random, seconds: float) -> Score:
    """The contrary mood, and the tune mirrored: what rose falls, what came first comes last."""
    other = opposite(hearing)
    score = lyrical(other, random, seconds)
    own = [note for note in score.notes if note.voice == other.lead]
    end = max(note.at + min(note.beats, 1) for note in own)
    axis = 2 * other.pitch(9)
    mirrored = [
        replace(note, at=max(0.0, end - note.at - min(note.beats, 1)),
                pitch=_in_mode(other, axis - note.pitch))
        for note in own
    ]  # fmt: skip
    rest = [note for note in score.notes if note.voice != other.lead]
    return Score((*rest, *mirrored), score.seconds_a_beat)


def _in_mode(hearing: Hearing, pitch: float) -> float:
    allowed = [hearing.pitch(d) for d in range(-7, 28)]
    return min(allowed, key=lambda known: abs(known - pitch))


def stillepost(hearing: Hearing, random: Random, seconds: float) -> Score:
    """One phrase, told on again and again: each time a few notes are misheard."""
    times = 3 if seconds < 7 else 4 if seconds < 14 else 6
    told = lyrical(replace(hearing, drums=False), random, max(1.6, seconds / times + 0.9))
    span = max(2, round(max(note.at for note in told.notes)))
    beat = max(seconds - 1.2, seconds * 0.6) / (span * times)
    notes: list[Note] = []
    phrase = [note for note in told.notes if note.at < span]
    drift = 0.0
    for turn in range(times):
        fade = 1 - 0.11 * turn
        for note in phrase:
            notes.append(replace(note, at=note.at + turn * span, pitch=note.pitch + drift,
                                 loudness=note.loudness * fade,
                                 pan=0.8 * (-1) ** turn * turn / times))  # fmt: skip
        phrase = [_misheard(hearing, random, note) for note in phrase if random.random() > 0.07]
        drift += float(random.normal(0, 0.22))
    return Score(tuple(notes), beat)


def _misheard(hearing: Hearing, random: Random, note: Note) -> Note:
    if note.voice in ("kick", "snare", "hat") or random.random() > 0.4:
        return note
    pitch = _in_mode(hearing, note.pitch + float(random.choice([-3, -2, 2, 3, 7])))
    return replace(note, pitch=pitch, at=note.at + float(random.choice([0, 0, 0.25])),
                   voice=str(random.choice([note.voice] * 2 + ["music_box", "reed"])))  # fmt: skip


# Who follows no manner of his own writes songs.
MANNERS: Mapping[str, Compose] = {
    "landscape": lyrical, "bauhaus": bauhaus, "renaissance": renaissance, "overdrive": overdrive,
    "theopposite": theopposite, "stillepost": stillepost, "dada": lyrical,
}  # fmt: skip
