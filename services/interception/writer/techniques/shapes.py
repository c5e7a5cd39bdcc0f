"""From a scene to a sketch: first the list of its things, then each as a layer of simple shapes.

Two steps, because whoever draws with code has to decide both: what there is, and of what it is
made. The second reads the list that the first, or a person, wrote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.interception.writer.material import Material
from services.interception.writer.phrases import Phrase, distinct, read
from services.interception.writer.roles import bare_adjective, roles
from services.interception.writer.templates import MAX_NAME_CHARACTERS
from services.interception.writer.tokens import capitalised, words

MAX_LAYERS = 12
# With that of the ground; the last line of a sketch says so.
MAX_COLOURS = 5
# Between a thing and what is said of it.
DASH = " – "
_NUMBER = re.compile(r"^\s*(?:\d{1,3}[.)]|[-*•])\s*")
# Places on a canvas of 400 by 400 for things before the background, in order.
# The first is for what stands in front; there are as many as layers.
_PLACES = (
    (200, 270), (90, 300), (310, 290), (130, 150), (290, 140), (60, 90),
    (340, 90), (50, 210), (360, 200), (210, 80), (150, 360), (270, 360),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Thing:
    name: str
    category: str
    colour: str


def inventory(material: Material) -> str:
    """The things of a text as a numbered list, from the back to the front."""
    words_of = material.vocabulary
    reading = read(material.text, words_of)
    subject, ground = roles(reading.phrases)
    others = [each for each in distinct(reading.phrases) if each not in (subject, ground)]
    lines: list[str] = []
    for phrase, part in [(ground, "behind"), *((each, "beside") for each in others[:MAX_LAYERS])]:
        if phrase is not None:
            lines.append(_item(material, phrase, reading.adjectives(phrase), part))
    if subject is not None:
        lines.append(_item(material, subject, reading.adjectives(subject), "front"))
    if not lines:
        lines = [" ".join(material.text.split())[:MAX_NAME_CHARACTERS]]
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))


def _item(material: Material, phrase: Phrase, adjectives: Sequence[str], part: str) -> str:
    said = [material.vocabulary.sketch_words[part]]
    said += [bare_adjective(material, each)[:40] for each in adjectives[:3]]
    return f"{capitalised(phrase.name[:MAX_NAME_CHARACTERS])}{DASH}{', '.join(said)}"


def shapes(material: Material) -> str:
    """The things of a list as layers of simple shapes, from the back to the front."""
    words_of, draw = material.vocabulary, material.draw
    things = _things(material)[:MAX_LAYERS]
    said = words_of.sketch_words
    palette = _palette(things, draw.shuffled(words_of.sketch["colours"]))
    lines = [said["canvas"], f"1. {said['ground']}: {draw.one(words_of.sketch['grounds'])}."]
    named = {thing.colour for thing in things}
    # A red ship is the only red one, while there are others.
    free = [colour for colour in palette if colour not in named] or palette
    place = 0
    # What comes last in the list stands in the middle, in front.
    front = len(things) - 1
    for number, thing in enumerate(things):
        colour = thing.colour if thing.colour in palette else free[number % len(free)]
        forms = words_of.shapes.get(thing.category, words_of.shapes["any"])
        form = draw.one(forms)
        if thing.category in words_of.shapes_everywhere:
            where = said["everywhere"]
        else:
            place = place + 1 if number != front else 0
            x, y = _PLACES[place % len(_PLACES)]
            where = f"({x}, {y})"
        lines.append(f"{number + 2}. {thing.name}, {where}: {form}; {colour}.")
    lines.append(draw.one(words_of.sketch["motions"]))
    lines.append(said["rule"])
    return "\n".join(lines)


def _palette(things: Sequence[_Thing], drawn: Sequence[str]) -> list[str]:
    """As many colours as the rule allows beside the ground's: those the text names come first."""
    named = [thing.colour for thing in things if thing.colour]
    return list(dict.fromkeys([*named, *drawn]))[: MAX_COLOURS - 1]


def _things(material: Material) -> list[_Thing]:
    """One thing a line; a text that is no list gives its nouns."""
    vocabulary = material.vocabulary
    lines = [line for line in material.text.splitlines() if line.strip()]
    is_list = len(lines) > 1 or any(_NUMBER.match(line) for line in lines)
    found: list[_Thing] = []
    for line in lines:
        head, _, said = _NUMBER.sub("", line).partition(DASH)
        phrases = distinct(read(head, vocabulary).phrases)
        colour = _colour(material, f"{head} {said}") if is_list else ""
        for phrase in phrases[: 1 if is_list else MAX_LAYERS]:
            name = capitalised(phrase.name[:MAX_NAME_CHARACTERS])
            found.append(_Thing(name, phrase.noun.category, colour))
    return found or [_Thing(vocabulary.motif, "any", "")]


def _colour(material: Material, text: str) -> str:
    colours = material.vocabulary.reduction["colours"]
    for word in words(text):
        for form in (word.lower(), bare_adjective(material, word).lower()):
            if form in colours:
                return colours[form]
    return ""
