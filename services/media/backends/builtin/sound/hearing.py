"""From a scene to what is heard: mode, tempo, instruments, sounds of the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.media.backends.builtin.noise import Random
from services.media.backends.builtin.sound.textures import TEXTURES
from services.media.backends.builtin.sound.voices import VOICES
from services.media.backends.builtin.words import Scene

MODES: Mapping[str, tuple[int, ...]] = {
    "ionian": (0, 2, 4, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "aeolian": (0, 2, 3, 5, 7, 8, 10),
}
MAJOR = frozenset(("ionian", "lydian", "mixolydian"))

# Modes, beats a minute from and to, how much happens (0 to 1).
_MOODS: Mapping[str, tuple[tuple[str, ...], int, int, float]] = {
    "calm": (("ionian", "lydian"), 66, 78, 0.35),
    "sad": (("aeolian", "dorian"), 58, 70, 0.3),
    "joyful": (("ionian", "mixolydian"), 108, 128, 0.75),
    "angry": (("phrygian", "aeolian"), 132, 152, 0.95),
    "dark": (("phrygian", "aeolian"), 56, 68, 0.3),
    "neon": (("dorian", "aeolian"), 104, 118, 0.8),
}
_TIMES: Mapping[str, tuple[tuple[str, ...], int, int, float]] = {
    "dawn": (("lydian", "ionian"), 72, 84, 0.45),
    "day": (("ionian", "mixolydian"), 88, 108, 0.55),
    "dusk": (("dorian", "mixolydian"), 74, 88, 0.45),
    "night": (("aeolian", "dorian"), 62, 76, 0.35),
}
_OTHERWISE = (("ionian", "mixolydian", "dorian", "lydian"), 82, 102, 0.5)

# Who plays the tune when something of this is in the scene.
_LEADS: Mapping[str, str] = {
    "bird": "flute", "butterfly": "music_box", "star": "bell", "moon": "music_box",
    "castle": "reed", "robot": "lead", "rocket": "lead", "cat": "electric_piano", "dog": "pluck",
    "fish": "bell", "boat": "reed", "flower": "pluck", "rose": "strings", "sunflower": "pluck",
    "tulip": "music_box", "tree": "flute", "heart": "strings", "person": "piano", "horse": "reed",
    "clock": "music_box", "book": "piano", "car": "electric_piano", "balloon": "flute",
    "umbrella": "piano", "eye": "choir", "city": "electric_piano", "mountain": "reed",
    "mushroom": "wood", "stone": "wood", "house": "piano", "sun": "flute",
}  # fmt: skip
_BY_MOTIF: Mapping[str, str] = {
    "bird": "birds", "cat": "cat", "dog": "dog", "horse": "horse", "robot": "electric",
    "boat": "water", "car": "rumble", "rocket": "rumble", "clock": "clock", "heart": "heart",
    "fish": "water", "castle": "bells", "butterfly": "bees", "person": "steps", "city": "city",
    "umbrella": "rain", "moon": "crickets", "star": "drone", "tree": "wind", "balloon": "wind",
}  # fmt: skip
_BY_PLACE: Mapping[str, tuple[str, ...]] = {
    "meadow": ("bees", "birds"), "sea": ("sea",), "forest": ("birds", "wind"),
    "city": ("city", "steps"), "desert": ("wind",), "space": ("drone",), "mountain": ("wind",),
}  # fmt: skip
_BY_WEATHER: Mapping[str, tuple[str, ...]] = {
    "rain": ("rain",), "storm": ("rain", "thunder", "wind"), "snow": ("wind",),
    "fog": ("drone", "wind"), "wind": ("wind",),
}  # fmt: skip
_BY_TIME: Mapping[str, tuple[str, ...]] = {"night": ("crickets",), "dawn": ("birds",)}
_BY_MOOD: Mapping[str, tuple[str, ...]] = {
    "dark": ("drone",), "neon": ("electric", "city"), "joyful": ("birds",), "sad": ("rain",),
    "angry": ("fire", "rumble"), "calm": ("water",),
}  # fmt: skip
_ANYTHING = ("wind", "water", "drone", "bells", "crowd", "steps")
MAX_TEXTURES = 4


@dataclass(frozen=True, slots=True)
class Hearing:
    """What a piece is made of."""

    mode: str
    # The tonic as MIDI counts, about the C below the middle one.
    tonic: int
    beats_per_minute: float
    # How much happens, 0 to 1.
    density: float
    lead: str
    harmony: str
    drums: bool
    textures: tuple[str, ...]
    # How much of a room is heard, 0 to 1.
    space: float

    @property
    def is_major(self) -> bool:
        """Whether its third is great."""
        return self.mode in MAJOR

    def pitch(self, degree: int, octave: int = 0) -> int:
        """A step of the scale as a pitch; degree 0 is the tonic, 7 the tonic above."""
        return self.tonic + MODES[self.mode][degree % 7] + 12 * (degree // 7 + octave)


def listen(scene: Scene, random: Random) -> Hearing:
    """Return what the scene sounds like."""
    modes, slowest, fastest, density = (
        _MOODS.get(scene.mood or "") or _TIMES.get(scene.time or "") or _OTHERWISE
    )
    said = set(scene.sounds)
    tempo = float(random.uniform(slowest, fastest))
    tempo *= (1.35 if "fast" in said else 1.0) * (0.72 if "slow" in said else 1.0)
    if scene.weather == "storm":
        density = min(1.0, density + 0.3)
    played = [name for name in scene.sounds if name in VOICES]
    motifs = [subject.motif for subject in scene.subjects]
    leads = [*played, *(_LEADS[m] for m in motifs if m in _LEADS)]
    fallback = ("piano", "pluck", "flute", "electric_piano", "bell", "strings")
    lead = leads[0] if leads else str(random.choice(fallback))
    if scene.weather == "snow" and not played:
        lead = "music_box"
    harmonies = {
        "neon": ("pad", "lead"), "dark": ("choir", "pad"), "sad": ("strings", "piano"),
        "angry": ("organ", "strings"), "joyful": ("pluck", "electric_piano"),
    }.get(scene.mood or "", ("pad", "pluck", "piano", "strings", "electric_piano"))  # fmt: skip
    harmony = str(random.choice([name for name in harmonies if name != lead] or ["pad"]))
    if len(played) > 1:
        harmony = played[1]
    drums = bool(
        scene.mood in ("joyful", "angry", "neon")
        or scene.place == "city"
        or said & {"kick", "fast", "machine", "train", "electric"}
        or {"robot", "car", "horse"} & set(motifs)
    )
    room = {"space": 0.95, "mountain": 0.8, "sea": 0.6, "forest": 0.6, "city": 0.35}
    return Hearing(
        mode=str(random.choice(modes)),
        tonic=int(random.integers(45, 56)),
        beats_per_minute=tempo,
        density=density,
        lead="pluck" if lead in ("kick", "snare", "hat", "bass") else lead,
        harmony="pad" if harmony in ("kick", "snare", "hat", "bass") else harmony,
        drums=drums,
        textures=_textures(scene, random),
        space=room.get(scene.place or "", 0.7 if scene.mood in ("dark", "calm", "sad") else 0.45),
    )


def _textures(scene: Scene, random: Random) -> tuple[str, ...]:
    found = [name for name in scene.sounds if name in TEXTURES]
    found += [_BY_MOTIF[s.motif] for s in scene.subjects if s.motif in _BY_MOTIF]
    found += _BY_WEATHER.get(scene.weather or "", ())
    found += _BY_PLACE.get(scene.place or "", ())
    found += _BY_TIME.get(scene.time or "", ())
    if len(found) < 2:
        found += _BY_MOOD.get(scene.mood or "", ())
    if not found:
        found += [str(name) for name in random.choice(_ANYTHING, 2, replace=False)]
    return tuple(dict.fromkeys(found))[:MAX_TEXTURES]


_OPPOSITE_MODE = {
    "ionian": "aeolian", "lydian": "phrygian", "mixolydian": "dorian",
    "aeolian": "ionian", "phrygian": "lydian", "dorian": "mixolydian",
}  # fmt: skip
_OPPOSITE_TEXTURE = {
    "rain": "birds", "birds": "machine", "sea": "wind", "city": "water", "cat": "dog",
    "dog": "cat", "machine": "water", "crickets": "city", "wind": "bells", "thunder": "birds",
    "bees": "rumble", "water": "fire", "fire": "water", "drone": "birds", "steps": "train",
}  # fmt: skip


def opposite(hearing: Hearing) -> Hearing:
    """The contrary of it, as far as sounds have one."""
    return replace(
        hearing,
        mode=_OPPOSITE_MODE[hearing.mode],
        beats_per_minute=min(150.0, max(56.0, 184 - hearing.beats_per_minute)),
        density=1 - hearing.density,
        drums=not hearing.drums,
        textures=tuple(
            dict.fromkeys(_OPPOSITE_TEXTURE.get(name, name) for name in hearing.textures)
        ),
        space=1 - hearing.space,
    )
