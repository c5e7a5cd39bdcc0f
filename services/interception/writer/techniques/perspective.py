"""Renaissance: study, order, measured space, distance, a human being who looks.

The rules are Alberti's (one vanishing point at the eye of a person) and Leonardo's (what is far is
bluer and paler).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.interception.writer.material import Material
from services.interception.writer.phrases import Phrase, Reading, distinct, read
from services.interception.writer.roles import bare_adjective, motif_of, roles
from services.interception.writer.templates import Value, fill
from services.interception.writer.tokens import capitalised


def perspective(material: Material) -> str:
    """A calm description of a panel."""
    words, draw = material.vocabulary, material.draw
    reading = read(material.text, words)
    subject, ground = roles(reading.phrases)
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


def _study(material: Material, reading: Reading, subject: Phrase | None) -> str:
    words = material.vocabulary
    if subject is None:
        named = motif_of(material)
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
    listed = ", ".join(bare_adjective(material, each)[:40] for each in qualities[:3])
    if material.voice == "de":
        return f" Was der Text sagt – {listed} –, zeigt allein die Haltung, kein Effekt."
    return f" What the text says of it – {listed} – is shown by bearing alone, not by effect."


def _others(material: Material, others: Sequence[Phrase]) -> str:
    template = "{der x}" if material.voice == "de" else "{the x}"
    named = [fill(template, material.voice, {"x": each}) for each in others]
    listed = ", ".join(named)
    if material.voice == "de":
        return f"Dazu, jedes an seinem gemessenen Ort: {listed}."
    return f"With it, each in its measured place: {listed}."
