"""From a prompt to a scene: what is in it, how many, where, when, in which colours and mood.

A small lexicon, no model: plurals, cases and German compounds are found by simple rules, and what
is not understood still shapes the picture through the seed and through its letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

MAX_SUBJECTS = 4
MAX_COUNT = 12
PLURAL_COUNT = 4
# An intercepted prompt can be a page long; its beginning says what it is about.
MAX_TOKENS = 400
_TOKEN = re.compile(r"[^\W\d_]+|\d+|[❤♥]")
# Written small these are other words: English "see", "kind"; and "man" is a pronoun in German.
_NOUNS_ONLY = {"see", "kind"}
_NEEDS_ARTICLE = {"man"}
_ENDINGS = ("ern", "en", "er", "em", "es", "ns", "e", "n", "s")


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing to be seen."""

    motif: str
    count: int = 1
    colour: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What was understood of a prompt. `words` are its words as written, for type."""

    subjects: tuple[Subject, ...] = ()
    time: str | None = None
    weather: str | None = None
    place: str | None = None
    colours: tuple[str, ...] = ()
    mood: str | None = None
    words: tuple[str, ...] = ()
    # What can only be heard: instruments, noises, fast and slow.
    sounds: tuple[str, ...] = ()


@dataclass(slots=True)
class _Found:
    subjects: dict[str, Subject] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    colours: list[str] = field(default_factory=list)
    sounds: list[str] = field(default_factory=list)
    ideas: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: str
    value: str
    word: str


def read_scene(prompt: str) -> Scene:
    """Return what the lexicon knows of the prompt; never fails, may know nothing."""
    words = [found.group() for found in _TOKEN.finditer(prompt)][:MAX_TOKENS]
    found = _Found()
    number, number_at, colour, colour_at = 1, -9, "", -9
    unmeant = _unmeant(words, found)
    for index, word in enumerate(words):
        if index in unmeant:
            continue
        if word in _NOUNS_ONLY or (word in _NEEDS_ARTICLE and index - number_at > 3):
            continue
        for entry, plural in _lookup(word):
            if entry.kind == "numbers":
                number, number_at = int(entry.value), index
            elif entry.kind == "colours":
                found.colours.append(entry.value)
                colour, colour_at = entry.value, index
            elif entry.kind == "motifs":
                near = index - number_at <= 3
                count = number if near else PLURAL_COUNT if plural else 1
                own = colour if index - colour_at <= 2 else None
                known = found.subjects.get(entry.value)
                if known is None or count > known.count:
                    found.subjects[entry.value] = Subject(
                        entry.value, min(count, MAX_COUNT), own or (known.colour if known else None)
                    )
            elif entry.kind == "sounds":
                found.sounds.append(entry.value)
            elif entry.kind == "ideas":
                found.ideas.append(_lexicon()["ideas"][entry.value])
            elif entry.value == "neon":  # light wins over sorrow
                found.facts["moods"] = "neon"
            else:
                found.facts.setdefault(entry.kind, entry.value)
        if word.isdecimal() and 0 < len(word) <= 3:
            number, number_at = max(1, int(word)), index
    return _scene(found, words)


def _unmeant(words: list[str], found: _Found) -> set[int]:
    """The places of words in idioms; and phrases that are places, taken into what is found."""
    folded = [word.casefold() for word in words]
    taken: set[int] = set()
    for phrase, place in _phrases().items():
        for start in range(len(folded) - len(phrase) + 1):
            if tuple(folded[start : start + len(phrase)]) != phrase:
                continue
            if place:
                found.facts.setdefault("places", place)
            else:
                taken.update(range(start, start + len(phrase)))
    return taken


def _scene(found: _Found, words: list[str]) -> Scene:
    facts = found.facts
    for idea in found.ideas:
        if not found.subjects or (len(found.ideas) == 1 and idea.get("company", True)):
            for motif in idea["motifs"]:
                if not found.subjects or len(found.subjects) < 2:
                    found.subjects.setdefault(motif, Subject(motif))
        for kind in ("place", "time", "weather"):
            if kind in idea:
                facts.setdefault(f"{kind}s", idea[kind])
    return Scene(
        subjects=tuple(found.subjects.values())[:MAX_SUBJECTS],
        time=facts.get("times") or ("night" if {"moon", "star"} & set(found.subjects) else None),
        weather=facts.get("weathers"),
        place=facts.get("places"),
        colours=tuple(dict.fromkeys(found.colours))[:4],
        mood=facts.get("moods"),
        words=tuple(words),
        sounds=tuple(dict.fromkeys(found.sounds)),
    )


def _lookup(word: str) -> list[tuple[_Entry, bool]]:
    """All entries of a word, each with whether it looks like a plural."""
    index = _index()
    lower = word.casefold()
    folded = _fold(lower)
    if lower in index:
        return [(entry, False) for entry in index[lower]]
    if folded in index:
        return [(entry, entry.word != lower) for entry in index[folded]]
    for ending in _ENDINGS:
        stem = folded.removesuffix(ending)
        if stem != folded and len(stem) >= 3:
            for candidate in (stem, stem + "e"):
                if candidate in index:
                    return [(entry, entry.kind == "motifs") for entry in index[candidate]]
    if not lower.isascii() and len(lower) <= 12:
        signs = [
            entry
            for sign in lower
            if not sign.isalpha() or ord(sign) > 0x2E7F
            for entry in index.get(sign, [])
        ]
        if signs:
            return [(entry, False) for entry in signs]
    return _compound(folded)


def _compound(folded: str) -> list[tuple[_Entry, bool]]:
    """Entries of the two ends of a German compound such as Blumenwiese."""
    found: list[tuple[_Entry, bool]] = []
    if len(folded) < 7:
        return found
    index = _index()
    for cut in range(5, len(folded) - 2):
        head, tail = folded[:cut], folded[cut:]
        if len(tail) >= 4 and tail in index:
            found += [(entry, False) for entry in index[tail]]
            heads = [head] + [head.removesuffix(joint) for joint in ("n", "s", "en", "es")]
            known = next((h for h in heads if len(h) >= 4 and h in index), None)
            # Blumenwiese: more than one flower.
            found += [(entry, known != head) for entry in index[known]] if known else []
            break
    kinds = ("motifs", "places", "weathers", "colours", "sounds")
    return [(entry, plural) for entry, plural in found if entry.kind in kinds]


def _fold(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


@cache
def _lexicon() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(
        (Path(__file__).parent / "lexicon.yaml").read_text("utf-8")
    )
    return data


@cache
def _phrases() -> dict[tuple[str, ...], str]:
    """Words in a row, as they are looked for, with the place they are; none for idioms."""
    lexicon = _lexicon()
    known = {phrase: "" for phrase in lexicon["idioms"]}
    known |= {phrase: place for place, rows in lexicon["phrases"].items() for phrase in rows}
    return {tuple(_TOKEN.findall(phrase.casefold())): place for phrase, place in known.items()}


@cache
def _index() -> dict[str, list[_Entry]]:
    index: dict[str, list[_Entry]] = {}
    for kind, values in _lexicon().items():
        if kind in ("idioms", "phrases"):
            continue
        for value, content in values.items():
            for word in content["words"] if kind == "ideas" else content:
                entry = _Entry(kind, str(value), str(word).casefold())
                for key in dict.fromkeys((entry.word, _fold(entry.word))):
                    index.setdefault(key, []).append(entry)
    return index
