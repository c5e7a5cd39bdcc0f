"""The techniques of the built-in writer, and what a recipe may set on each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Option:
    """One number a recipe may set, with its bounds, both included."""

    default: float
    minimum: float
    maximum: float
    meaning: str


# Techniques that describe: each is a file of sentences, writer/lexicon/depictions/<name>.yaml.
DEPICTIONS = (
    "ink_landscape", "distortion", "wet_plate", "small_format", "photocopy", "phone_snapshot",
    "assembly_manual", "stance", "transition", "elsewhere", "entanglement", "story_seed", "story",
    "music_score", "song",
)  # fmt: skip

TECHNIQUES: Mapping[str, Mapping[str, Option]] = {
    "cut_up": {
        "words": Option(40, 4, 120, "how many words are drawn from the bag, at most"),
        "found": Option(2, 0, 6, "how many found scraps are glued in"),
    },
    "reduction": {"elements": Option(6, 1, 12, "how many basic forms, at most")},
    "perspective": {},
    "intensify": {"degree": Option(2, 1, 3, "1 strong, 2 excessive, 3 beyond measure")},
    "antonyms": {},
    "slang": {"particles": Option(2, 0, 4, "how many particles are added")},
    "pig_latin": {},
    "mishear": {"share": Option(0.2, 0.02, 1.0, "share of the words misheard in one pass")},
    "declutter": {},
    "harmonize": {},
    "inventory": {},
    "shapes": {},
    **{name: {} for name in DEPICTIONS},
    "tag_list": {},
    "shot_list": {},
    "song_sheet": {},
    "rules": {},
    "unchanged": {},
}


@dataclass(frozen=True, slots=True)
class BuiltinWriting:
    """How the built-in writer writes for a recipe."""

    technique: str
    options: Mapping[str, float] = field(default_factory=dict)
    # The technique is what the recipe is: no model is ever asked.
    always: bool = False

    def option(self, name: str) -> float:
        """The recipe's value, or the technique's default."""
        return self.options.get(name, TECHNIQUES[self.technique][name].default)
