"""Telling a text by a depiction: one sentence after another, each drawn from what fits."""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.interception.writer.depiction import Depiction, role_of
from services.interception.writer.material import Material
from services.interception.writer.phrases import Phrase, distinct, read
from services.interception.writer.roles import bare_adjective, motif_noun, roles
from services.interception.writer.templates import Value, fill
from services.interception.writer.tokens import capitalised

# How much of a text is told in its own words.
MAX_TOLD_CHARACTERS = 400
# How much of its beginning is said where only a line of it is wanted.
MAX_LINE_CHARACTERS = 80
MAX_OTHERS = 4
MAX_QUALITIES = 3
_END_MARKS = ".!?…。！？"
_SENTENCE_END = re.compile(r"[.!?…](?=\s)|[。！？]")


def depict(material: Material, name: str = "") -> str:
    """The text, told by a depiction: the one with this name, else the technique's own."""
    depiction = material.vocabulary.depictions[name or material.writing.technique]
    values, categories = _values(material)
    drawer = _Drawer(material, depiction)
    text = ""
    for part in depiction.order:
        if part.line_break:
            text = text.rstrip(" ") + part.line_break
            continue
        for pool in part.pools_for(material.number):
            line = drawer.next(pool, categories[role_of(pool)], frozenset(values))
            if line is not None:
                said = fill(line, material.voice, values)
                # "[verse]" is a mark and stays; what begins with a place begins a sentence.
                text += f"{capitalised(said) if line.startswith('{') else said} "
                break
    return text.strip()


class _Drawer:
    """Draws from pools, each sentence once until all were said."""

    def __init__(self, material: Material, depiction: Depiction) -> None:
        self._material = material
        self._depiction = depiction
        self._left: dict[str, list[str]] = {}

    def next(self, pool: str, category: str, places: frozenset[str]) -> str | None:
        """A sentence of the pool; None when none can be said."""
        left = self._left.get(pool)
        if not left:
            lines = [line.text for line in self._depiction.fitting(pool, category, places)]
            if not lines:
                return None
            left = self._material.draw.shuffled(lines)
            self._left[pool] = left
        return left.pop()


def _values(material: Material) -> tuple[Mapping[str, Value], Mapping[str, str]]:
    """What a sentence may speak of, and of which kind subject and surroundings are."""
    reading = read(material.text, material.vocabulary)
    # An emoji's invisible parts are no thing to speak of.
    things = [each for each in reading.phrases if any(map(str.isalpha, each.name))]
    subject, ground = roles(things)
    others = [each for each in distinct(things) if each not in (subject, ground)]
    values: dict[str, Value] = {
        "a": subject if subject is not None else motif_noun(material),
        "t": told(material.text),
        "s": first_line(material.text),
    }
    if ground is not None:
        values["b"] = ground
    if others:
        values["c"] = others[0]
        values["x"] = _listed(material, others[:MAX_OTHERS])
    qualities = reading.adjectives(subject) if subject is not None else []
    if qualities:
        bare = [bare_adjective(material, each)[:40] for each in qualities[:MAX_QUALITIES]]
        values["q"] = ", ".join(bare)
    return values, {"a": _kind(subject), "b": _kind(ground), "": "any"}


def _kind(phrase: Phrase | None) -> str:
    return phrase.noun.category if phrase is not None else "any"


def _listed(material: Material, others: list[Phrase]) -> str:
    template = "{der x}" if material.voice == "de" else "{the x}"
    return ", ".join(fill(template, material.voice, {"x": each}) for each in others)


def first_line(text: str) -> str:
    """How a text begins, in a line to be sung or said: its first sentence, or the clause before."""
    line = " ".join(text.split())
    if len(line) <= MAX_LINE_CHARACTERS:
        return told(line)
    end = _SENTENCE_END.search(line)
    sentence = line[: end.start() + 1] if end else line
    if len(sentence) > MAX_LINE_CHARACTERS:
        cut = sentence[:MAX_LINE_CHARACTERS]
        at = max(cut.rfind(mark) for mark in ",;:–—")
        at = at if at > 0 else cut.rfind(" ")
        sentence = cut[: at if at > 0 else len(cut)]
        return f"{sentence.rstrip(' ,;:–—')}…"
    return told(sentence)


def told(text: str) -> str:
    """A text in its own words as a sentence: one line, not too long, with a mark at its end."""
    line = " ".join(text.split())
    if len(line) > MAX_TOLD_CHARACTERS:
        cut = line[:MAX_TOLD_CHARACTERS]
        return (cut[: cut.rfind(" ")] if " " in cut[1:] else cut).rstrip(",;:") + "…"
    return line if line[-1:] in _END_MARKS else f"{line.rstrip(',;:')}."
