"""What a medium wants, by rules: a list of tags, a list of shots, a sheet to sing from.

They put the words of the text in another order and shape, and add none but the names of shots and
parts: whoever reads them recognises the text.
"""

from __future__ import annotations

import re
from itertools import islice

from services.interception.writer.material import Material

MAX_TAGS = 40
MAX_SHOTS = 3
LINES_IN_VERSE = 4
LONGEST_LINE_WORDS = 8

_CLAUSE = re.compile(r"[.,;:!?…–—/\n()»«„“”\"]+")
_SENTENCE = re.compile(r"(?<=[.!?…])\s+|\n+")
_JOINS = {"de": ("und", "oder", "sowie"), "en": ("and", "or")}
_ARTICLES = {
    "de": ("ein", "eine", "einen", "einem", "einer", "eines", "der", "die", "das", "den", "dem"),
    "en": ("a", "an", "the"),
}
_SHOT = {"de": "Einstellung", "en": "Shot"}
_CAMERA = {
    "de": (
        "weit, die Kamera steht",
        "die Kamera kommt langsam näher",
        "nah, auf Augenhöhe",
        "langsamer Schwenk von links nach rechts",
        "von unten, die Kamera steht",
        "von oben, die Kamera senkt sich",
    ),
    "en": (
        "wide, the camera stands still",
        "the camera slowly comes nearer",
        "close, at eye level",
        "a slow pan from left to right",
        "from below, the camera stands still",
        "from above, the camera comes down",
    ),
}


def tag_list(material: Material) -> str:
    """The clauses of the text without their first article, each once, with commas between."""
    joins, articles = _JOINS[material.voice], _ARTICLES[material.voice]
    between = re.compile(rf"\s+(?:{'|'.join(joins)})\s+", re.IGNORECASE)
    tags: dict[str, str] = {}
    for clause in _CLAUSE.split(material.text):
        for part in between.split(clause):
            words = part.split()
            while words and words[0].casefold() in articles:
                words = words[1:]
            if words:
                tag = " ".join(words)
                tags.setdefault(tag.casefold(), tag)
    return ", ".join(islice(tags.values(), MAX_TAGS))


def shot_list(material: Material) -> str:
    """The sentences of the text in at most three shots, each seen from somewhere."""
    sentences = _sentences(material.text)
    count = min(MAX_SHOTS, len(sentences))
    cameras = material.draw.shuffled(_CAMERA[material.voice])
    shots = []
    for number in range(count):
        begin, end = number * len(sentences) // count, (number + 1) * len(sentences) // count
        words = " ".join(sentences[begin:end])
        shots.append(f"{_SHOT[material.voice]} {number + 1} ({cameras[number]}): {words}")
    return "\n".join(shots)


def song_sheet(material: Material) -> str:
    """A line of tags, then the text in lines to sing: verses, and its first lines as the chorus."""
    lines = _lines(material.text)
    if not lines:
        return material.text
    chorus, rest = lines[:2], lines[2:] or lines[:2]
    verses = [rest[at : at + LINES_IN_VERSE] for at in range(0, len(rest), LINES_IN_VERSE)]
    parts = [tag_list(material)]
    for verse in verses:
        parts += ["\n".join(("[verse]", *verse)), "\n".join(("[chorus]", *chorus))]
    return "\n\n".join(parts)


def _sentences(text: str) -> list[str]:
    return [one.strip() for one in _SENTENCE.split(text) if one and one.strip()]


def _lines(text: str) -> list[str]:
    found = []
    for clause in _CLAUSE.split(text):
        words = clause.split()
        for at in range(0, len(words), LONGEST_LINE_WORDS):
            found.append(" ".join(words[at : at + LONGEST_LINE_WORDS]))
    return found
