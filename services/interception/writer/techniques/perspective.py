"""Renaissance: study, order, measured space, distance, a human being who looks.

The rules are Alberti's (one vanishing point at the eye of a person) and Leonardo's (what is far is
bluer and paler).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.interception.writer import german
from services.interception.writer.material import Material
from services.interception.writer.phrases import Phrase, Reading, distinct, read
from services.interception.writer.templates import Value, fill
from services.interception.writer.tokens import capitalised

_GROUNDS = ("landscape", "weather", "water", "building", "sky", "time")
_PLACES = ("plant", "furniture", "vehicle", "stone", "light", "any")
# How much of a text without nouns is quoted as the motif.
MAX_MOTIF_CHARACTERS = 120


def perspective(material: Material) -> str:
    """A calm description of a panel."""
    words, draw = material.vocabulary, material.draw
    reading = read(material.text, words)
    subject, ground = _roles(reading.phrases)
    lines = [_study(material, reading, subject)]
    lines.append(draw.one(words.perspective["orders"]))
    if ground is None:
        lines.append(draw.one(words.perspective["spaces_alone"]))
    else:
        spaces = words.spaces.get(ground.noun.category, words.spaces["any"])
        lines.append(fill(draw.one(spaces), material.voice, {"b": ground}))
    others = [each for each in distinct(reading.phrases) if each not in (subject, ground)]
    if others:
        lines.append(_others(material, others[:4]))
    lines.append(draw.one(words.perspective["distances"]))
    if subject is None or subject.noun.category != "person":
        lines.append(draw.one(words.perspective["humans"]))
    lines.append(draw.one(words.perspective["techniques"]))
    return " ".join(lines)


def _roles(phrases: Sequence[Phrase]) -> tuple[Phrase | None, Phrase | None]:
    """What is studied, and where it stands: grounds are places, weather and times."""
    figures = [each for each in phrases if each.noun.category not in _GROUNDS]
    subject = next(iter(figures or phrases), None)
    rest = [each for each in phrases if each is not subject]
    grounds = [each for each in rest if each.noun.category in _GROUNDS]
    placed = [each for each in rest if each.preposition and each.noun.category in _PLACES]
    ground = next(iter(grounds or placed), None)
    return subject, ground


def _study(material: Material, reading: Reading, subject: Phrase | None) -> str:
    words = material.vocabulary
    if subject is None:
        quoted = " ".join(material.text.split())[:MAX_MOTIF_CHARACTERS]
        marks = "»«" if material.voice == "de" else "“”"
        named: Value = f"{words.motif} {marks[0]}{quoted}{marks[1]}"
        return fill(material.draw.one(words.studies["any"]), material.voice, {"a": named})
    studies = words.studies.get(subject.noun.category, words.studies["any"])
    values: Mapping[str, Value] = {"a": subject}
    text = capitalised(fill(material.draw.one(studies), material.voice, values))
    qualities = reading.adjectives(subject)
    if qualities:
        text += _expression(material, qualities)
    return text


def _expression(material: Material, qualities: Sequence[str]) -> str:
    """What the text says of its subject is to be seen in its bearing, not in effects."""
    listed = ", ".join(_bare(material, each)[:40] for each in qualities[:3])
    if material.voice == "de":
        return f" Was der Text sagt – {listed} –, zeigt allein die Haltung, kein Effekt."
    return f" What the text says of it – {listed} – is shown by bearing alone, not by effect."


def _bare(material: Material, adjective: str) -> str:
    """Without its ending, where the lexicon knows the stem."""
    if material.voice == "de":
        stem = german.stem(adjective.lower())[0]
        if stem in material.vocabulary.opposites["adjectives"]:
            return stem
    return adjective


def _others(material: Material, others: Sequence[Phrase]) -> str:
    template = "{der x}" if material.voice == "de" else "{the x}"
    named = [fill(template, material.voice, {"x": each}) for each in others]
    listed = ", ".join(named)
    if material.voice == "de":
        return f"Dazu, jedes an seinem gemessenen Ort: {listed}."
    return f"With it, each in its measured place: {listed}."
