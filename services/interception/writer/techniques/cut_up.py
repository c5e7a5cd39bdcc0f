"""Dada: the cut-up.

After Tristan Tzara, "Pour faire un poème dadaïste" (1920): cut the words out of an article, put
them into a bag, shake gently, draw one after the other, copy conscientiously. What is drawn stands
first; then come found scraps and a montage of the things of the text, so that it can be painted.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.interception.domain.draw import Draw
from services.interception.writer.lexicon import Noun
from services.interception.writer.material import Material
from services.interception.writer.phrases import Phrase, distinct, read
from services.interception.writer.templates import MAX_NAME_CHARACTERS, Value, fill
from services.interception.writer.tokens import capitalised, scraps

_QUOTES = {"de": ("»", "«"), "en": ("“", "”")}


def cut_up(material: Material) -> str:
    """The drawn words, then the montage."""
    draw, words = material.draw, material.vocabulary
    found = draw.some(words.found, max(2, int(material.option("found"))))
    poem = _poem(material, found[: int(material.option("found"))])
    phrases = distinct(read(material.text, words).phrases)
    things = draw.some(phrases, 2)
    values: dict[str, Value] = {
        "o": found[0],
        "p": found[1],
        "s": draw.one(words.dada["sounds"]),
        "w": _letters(material, things),
    }
    values.update(zip("ab", things, strict=False))
    kind = ("scenes_none", "scenes_one", "scenes_two")[len(things)]
    sentences = [draw.one(words.dada[kind])]
    sentences += draw.some(words.dada["sentences"], 1 if len(poem) > 400 else 2)
    paper = draw.one(words.dada["papers"])
    collage = "Collage" if material.voice == "de" else "A collage"
    printed = draw.some(words.dada["scraps"], len(sentences))
    body = " ".join(
        fill(each, material.voice, {**values, "c": scrap})
        for each, scrap in zip(sentences, printed, strict=True)
    )
    return f"{poem}\n\n{collage} {paper}. {body}"


def _poem(material: Material, found: Sequence[Noun]) -> str:
    """The words from the bag, with scraps and a sound among them, in short lines."""
    draw = material.draw
    bag = scraps(material.text)
    limit = int(material.option("words"))
    drawn: list[str] = [each[:MAX_NAME_CHARACTERS] for each in draw.some(bag, limit)]
    if drawn == bag and len(bag) > 1:
        drawn = [*drawn[1:], drawn[0]]
    for thing in found:
        drawn.insert(draw.below(len(drawn) + 1), thing.singular)
    open_quote, close_quote = _QUOTES[material.voice]
    sound = draw.one(material.vocabulary.dada["sounds"])
    drawn.insert(draw.below(len(drawn) + 1), f"{open_quote}{sound}{close_quote}")
    return capitalised("\n".join(_lines(drawn, draw)))


def _lines(drawn: Sequence[str], draw: Draw) -> list[str]:
    lines: list[str] = []
    start = 0
    while start < len(drawn):
        size = 2 + draw.below(3)
        lines.append(" ".join(drawn[start : start + size]))
        start += size
    return lines


def _letters(material: Material, things: Sequence[Phrase]) -> str:
    """A word of the text, spelt out as letters on a poster."""
    word = things[0].name if things else (scraps(material.text) or ["391"])[0]
    return " ".join(word[:12].upper())
