"""Bauhaus: reduction to form, colour, material and their order.

Every thing becomes a basic form that could be built; qualities become measures; what cannot be
measured is left out, and said to be.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.interception.writer import german
from services.interception.writer.lexicon import Vocabulary
from services.interception.writer.material import Material
from services.interception.writer.phrases import Phrase, Reading, distinct, read
from services.interception.writer.templates import MAX_NAME_CHARACTERS
from services.interception.writer.tokens import capitalised

# Names of forms that change after a preposition.
_DATIVE = {"Punkte": "Punkten", "Kreise": "Kreisen"}


def reduction(material: Material) -> str:
    """A sober description that a workshop could build from."""
    words, draw = material.vocabulary, material.draw
    reading = read(material.text, words)
    phrases = distinct(reading.phrases)[: int(material.option("elements"))]
    lines: list[str] = []
    heads: list[tuple[Phrase | None, str]] = []
    taken: set[str] = set()
    for phrase in phrases:
        forms = words.forms.get(phrase.noun.category, words.forms["any"])
        fresh = [form for form in forms if form[0] not in taken] or list(forms)
        head, body = draw.one(fresh)
        taken.add(head)
        heads.append((phrase, head))
        lines.append(_thing(words, phrase, body))
    if not phrases:
        for head, body in draw.some(words.forms["any"], 2):
            heads.append((None, head))
            lines.append(f"{capitalised(body)}.")
    lines.append(f"{words.reduction_words['arrangement']}: {_arrangement(words, heads)}.")
    measures, omitted, colours = _qualities(words, reading, heads)
    lines += measures
    if colours:
        lines.append(f"{words.reduction_words['colour_line']}: {', '.join(colours)}.")
    else:
        lines.append(draw.one(words.reduction_lines["palettes"]))
    lines.append(draw.one(words.reduction_lines["gridlines"]))
    if omitted:
        lines.append(f"{words.reduction_words['omitted']}: {', '.join(omitted)}.")
    lines.append(draw.one(words.reduction_lines["endings"]))
    return " ".join(lines)


def _thing(words: Vocabulary, phrase: Phrase, body: str) -> str:
    """What one thing, or each of several counted ones, is built as."""
    name, count = phrase.name[:MAX_NAME_CHARACTERS], phrase.determiner.lower()
    if phrase.is_plural and count in words.reduction_words["counts"].split():
        return f"{capitalised(count)} {name}: {words.reduction_words['each']} {body}."
    return f"{capitalised(name)}: {body}."


def _arrangement(words: Vocabulary, heads: Sequence[tuple[Phrase | None, str]]) -> str:
    """How the forms stand to each other, from the prepositions of the text."""
    text = heads[0][1]
    if len(heads) == 1:
        return f"{capitalised(text)}, {words.reduction_words['alone']}"
    for phrase, head in heads[1:]:
        preposition = phrase.preposition if phrase else ""
        relation = words.reduction["relations"].get(preposition)
        if phrase is not None and phrase.noun.category == "weather" and relation:
            # What is in the rain is between its lines.
            relation = "zwischen" if words.language == "de" else "between"
        text += f" {relation} {_DATIVE.get(head, head)}" if relation else f", {head}"
    return capitalised(text)


def _qualities(
    words: Vocabulary, reading: Reading, heads: Sequence[tuple[Phrase | None, str]]
) -> tuple[list[str], list[str], list[str]]:
    """Adjectives as measures, those without one, and colours, each once, in order."""
    measures: dict[str, None] = {}
    omitted: dict[str, None] = {}
    colours: dict[str, None] = {}
    for phrase, head in heads:
        for adjective in reading.adjectives(phrase) if phrase else ():
            lower = adjective.lower()
            bare = german.stem(lower)[0] if words.language == "de" else lower
            for form in (lower, bare):
                if form in words.reduction["colours"]:
                    colours[words.reduction["colours"][form]] = None
                    break
                if form in words.reduction["modifiers"]:
                    measure = words.reduction["modifiers"][form]
                    measures[f"{capitalised(head)}: {measure}" if len(heads) > 1 else measure] = (
                        None
                    )
                    break
            else:
                omitted[adjective[:MAX_NAME_CHARACTERS]] = None
    return list(measures)[:4], list(omitted)[:6], list(colours)[:4]
