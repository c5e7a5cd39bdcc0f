"""What a text is about, and where it stands: the parts that techniques give to its nouns."""

from __future__ import annotations

from collections.abc import Sequence

from services.interception.writer import german
from services.interception.writer.lexicon import Noun
from services.interception.writer.material import Material
from services.interception.writer.phrases import Phrase
from services.interception.writer.templates import MAX_NAME_CHARACTERS

_GROUNDS = ("landscape", "weather", "water", "building", "sky", "time")
_PLACES = ("plant", "furniture", "vehicle", "stone", "light", "any")
# How much of a text without nouns is quoted as the motif.
MAX_MOTIF_CHARACTERS = 120


def roles(phrases: Sequence[Phrase]) -> tuple[Phrase | None, Phrase | None]:
    """What is looked at, and where it stands: grounds are places, weather and times."""
    figures = [each for each in phrases if each.noun.category not in _GROUNDS]
    subject = next(iter(figures or phrases), None)
    rest = [each for each in phrases if each is not subject]
    grounds = [each for each in rest if each.noun.category in _GROUNDS]
    placed = [each for each in rest if each.preposition and each.noun.category in _PLACES]
    ground = next(iter(grounds or placed), None)
    return subject, ground


def motif_of(material: Material) -> str:
    """What stands for the subject of a text without nouns: its beginning, quoted."""
    return f"{material.vocabulary.motif} {_quoted(material, MAX_MOTIF_CHARACTERS)}"


def motif_noun(material: Material) -> Noun:
    """The same as a noun, for sentences that put it in other cases."""
    word = "Motiv" if material.voice == "de" else "motif"
    name = f"{word} {_quoted(material, MAX_NAME_CHARACTERS - len(word) - 3)}"
    return Noun(name, "", "n" if material.voice == "de" else "", "any")


def _quoted(material: Material, limit: int) -> str:
    marks = "»«" if material.voice == "de" else "“”"
    return f"{marks[0]}{' '.join(material.text.split())[:limit]}{marks[1]}"


def bare_adjective(material: Material, adjective: str) -> str:
    """Without its ending, where the lexicon knows the stem."""
    if material.voice == "de":
        stem = german.stem(adjective.lower())[0]
        if stem in material.vocabulary.opposites["adjectives"]:
            return stem
    return adjective
