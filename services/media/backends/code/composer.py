"""The built-in author of sketches: a pattern chosen and set by the words of a prompt.

The same prompt, recipe and seed give the same sketch; what it writes passes the same check as
what a model writes.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from string import Template

from services.media.backends.builtin.canvas import Rgb
from services.media.backends.builtin.noise import Random
from services.media.backends.builtin.palette import palette_for
from services.media.backends.builtin.render import language_of, random_for
from services.media.backends.builtin.sound.hearing import Hearing, listen, opposite
from services.media.backends.builtin.words import Scene, read_scene
from services.media.backends.code.library import Library

_FOLDER = Path(__file__).parent / "sketches"
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_BAUHAUS_INKS = ("#d4271e", "#1d4f91", "#f2b705", "#1b1a19")
_MAX_WORD_LETTERS = 24
# How many things a pattern has: at least, at most, and more for each one the prompt names.
_COUNTS = {
    "flow": (220, 500, 40), "waves": (1, 6, 1), "garden": (6, 34, 5), "night": (420, 700, 20),
    "city": (110, 300, 20), "orbits": (160, 400, 10), "tiles": (1, 1, 0), "collage": (16, 60, 5),
}  # fmt: skip
# Which synthesizer of Tone.js stands for which of our instruments.
_SYNTHS = {
    "piano": "FMSynth", "pluck": "PluckSynth", "bell": "FMSynth", "music_box": "FMSynth",
    "electric_piano": "FMSynth", "flute": "Synth", "organ": "AMSynth", "reed": "DuoSynth",
    "strings": "AMSynth", "choir": "AMSynth", "lead": "MonoSynth", "wood": "PluckSynth",
}  # fmt: skip


def compose_sketch(prompt: str, recipe: str, seed: int, library: Library) -> tuple[str, str]:
    """Return a whole sketch as JavaScript, and the name of the pattern it follows."""
    random = random_for(prompt, recipe, seed)
    scene, manner = read_scene(prompt), language_of(recipe)
    if library == "p5js":
        pattern = _p5_pattern(scene, manner, random)
        values = _p5_values(scene, manner, pattern, random)
    else:
        hearing = listen(scene, random)
        if manner == "theopposite":
            hearing = opposite(hearing)
        pattern = _tone_pattern(hearing, manner)
        values = _tone_values(hearing, manner, random)
    return _template(library, pattern).substitute(values), pattern


def _p5_pattern(scene: Scene, manner: str, random: Random) -> str:
    if manner in ("bauhaus", "dada"):
        return {"bauhaus": "tiles", "dada": "collage"}[manner]
    motifs = {subject.motif for subject in scene.subjects}
    wanted = (
        ("orbits", scene.place == "space" or motifs & {"rocket"}),
        ("city", scene.place == "city" or motifs & {"city", "car"} or scene.weather == "rain"),
        ("waves", scene.place == "sea" or motifs & {"boat", "fish"}),
        ("night", scene.time == "night" or motifs & {"moon", "star"}),
        ("garden", scene.place in ("meadow", "forest")
         or motifs & {"flower", "rose", "tulip", "sunflower", "tree", "butterfly", "mushroom"}),
    )  # fmt: skip
    for name, is_wanted in wanted:
        if is_wanted:
            return name
    return "flow" if scene.weather or random.random() < 0.7 else "orbits"


def _p5_values(scene: Scene, manner: str, pattern: str, random: Random) -> dict[str, str]:
    palette = palette_for(scene, random)
    lively = {"joyful": 1.4, "angry": 1.8, "calm": 0.6, "sad": 0.5, "neon": 1.3}
    speed = lively.get(scene.mood or "", 1.0)
    speed *= {"overdrive": 1.8, "stillepost": 0.7}.get(manner, 1.0)
    speed *= 1.5 if "fast" in scene.sounds else 0.6 if "slow" in scene.sounds else 1.0
    many = max([subject.count for subject in scene.subjects] or [1])
    more = 2 if manner == "overdrive" else 1
    least, most, each = _COUNTS[pattern]
    count = min(most, (least + each * many + each * float(random.random())) * more)
    accents = [_hex(colour) for colour in palette.accents]
    if manner == "bauhaus":
        accents = [*_BAUHAUS_INKS, *(_hex(c) for c in palette.accents[:1] if scene.colours)]
    if manner == "theopposite":
        accents = [_hex((1 - r, 1 - g, 1 - b)) for r, g, b in palette.accents]
    words = [word[:_MAX_WORD_LETTERS] for word in scene.words if len(word) > 1][:12]
    return {
        "seed": str(int(random.integers(1, 2**31 - 1))),
        "accents": json.dumps(accents),
        "sky": json.dumps([_hex(colour) for colour in palette.sky]),
        "ground": _hex(palette.ground),
        "paper": "#f1ead9" if scene.time != "night" else "#1f2233",
        "words": json.dumps(words or ["dada", "nein", "ja"], ensure_ascii=False),
        "speed": f"{speed:.2f}",
        "scale": f"{float(random.uniform(0.003, 0.009)):.4f}",
        "layers": str(int(random.integers(4, 8)) + more - 1),
        "petals": str(int(random.integers(5, 10))),
        "count": str(round(count)),
    }


def _tone_pattern(hearing: Hearing, manner: str) -> str:
    if manner in ("bauhaus", "dada"):
        return {"bauhaus": "pattern", "dada": "collage"}[manner]
    slow = hearing.density < 0.4 and not hearing.drums and manner != "overdrive"
    return "drift" if slow else "song"


def _tone_values(hearing: Hearing, manner: str, random: Random) -> dict[str, str]:
    more = manner == "overdrive"
    notes = [_note(hearing.pitch(degree, 1)) for degree in range(-2, 8)]
    if manner == "bauhaus":
        notes = [_note(hearing.pitch(degree, 1)) for degree in (0, 2, 4, 5)]
    later = (4, 5, 3) if hearing.is_major else (5, 2, 6)
    turn = int(random.integers(3))
    roots = (0, *later[turn:], *later[:turn])
    chords = [[_note(hearing.pitch(root + third)) for third in (0, 2, 4)] for root in roots]
    lengths = random.choice([3.1, 4.3, 5.7, 6.1, 7.3, 8.9, 10.7], 5, replace=False)
    lead = _SYNTHS.get(hearing.lead, "Synth")
    return {
        "seed": str(int(random.integers(1, 2**31 - 2))),
        "bpm": f"{hearing.beats_per_minute * (1.3 if more else 1):.0f}",
        "scale_notes": json.dumps(notes),
        "chords": json.dumps(chords),
        "bass": json.dumps([_note(hearing.pitch(root, -1)) for root in roots]),
        "cell": json.dumps([int(step) for step in random.choice([-2, -1, -1, 1, 1, 2, 3], 5)]),
        "hits": json.dumps([int(random.choice([3, 5])), int(random.choice([4, 5, 7])),
                            int(random.choice([3, 5, 7]))]),
        "density": f"{min(0.95, hearing.density + (0.3 if more else 0.1)):.2f}",
        "drums": "true" if hearing.drums or more else "false",
        "room": f"{1.2 + 5 * hearing.space:.1f}",
        "lengths": json.dumps([float(length) for length in lengths]),
        "air": str(-46 if set(hearing.textures) & {"wind", "sea", "rain", "drone"} else -60),
        # A plucked string has no envelope to set, so it plays no chords.
        "lead": lead if lead != "PluckSynth" or _tone_pattern(hearing, manner) == "song" else
        "FMSynth",
        "pad": "FMSynth" if hearing.harmony in ("pluck", "electric_piano") else "AMSynth",
    }  # fmt: skip


def _note(pitch: int) -> str:
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def _hex(colour: Rgb) -> str:
    return "#" + "".join(f"{round(min(1.0, max(0.0, c)) * 255):02x}" for c in colour)


@cache
def _template(library: Library, pattern: str) -> Template:
    return Template((_FOLDER / library / f"{pattern}.js").read_text("utf-8"))
