"""The sweetener: what threatens becomes harmless, then one small wonder is added.

The exchange is by lists; what no list knows stays, and the safety check before and after is what
protects.
"""

from __future__ import annotations

from dataclasses import replace

from services.interception.writer.exchange import Exchange
from services.interception.writer.lexicon import Noun, Vocabulary
from services.interception.writer.material import Material
from services.interception.writer.phrases import Phrase, read
from services.interception.writer.techniques.depict import depict
from services.interception.writer.tokens import like

# A last part of a German compound that counts: "Taschenmesser", and not every word in "-tod".
MIN_PART_LETTERS = 5
MAX_PART_LETTERS = 24


def harmonize(material: Material) -> str:
    """The text with its threats exchanged, in a gentle world."""
    return depict(replace(material, text=_harmless(material)), "gentle")


def _harmless(material: Material) -> str:
    words = material.vocabulary
    reading = read(material.text, words)
    texts = [token.text for token in reading.tokens]
    nouns_at = {phrase.at for phrase in reading.phrases}
    for at, token in enumerate(reading.tokens):
        other = words.threats_verbs.get(token.text.lower())
        if other is not None and at not in nouns_at:
            texts[at] = like(other, token.text)
    for phrase in reading.phrases:
        nouns = dict(_threat(words, phrase, texts[phrase.at]))
        Exchange(material.voice, nouns, words.threats_adjectives).rename(phrase, texts)
    return "".join(texts)


def _threat(words: Vocabulary, phrase: Phrase, text: str) -> list[tuple[str, Noun]]:
    """What stands for this noun, under the names it may be asked for by; empty if harmless."""
    names = (text.lower(), phrase.noun.singular.lower())
    if any(name in words.threats_innocent for name in names):
        return []
    for name in names:
        found = words.threats_nouns.get(name) or _by_last_part(words, name)
        if found is not None:
            return [(key, found) for key in names]
    return []


def _by_last_part(words: Vocabulary, name: str) -> Noun | None:
    if words.language != "de":
        return None
    for start in range(max(2, len(name) - MAX_PART_LETTERS), len(name) - MIN_PART_LETTERS + 1):
        found = words.threats_nouns.get(name[start:])
        if found is not None:
            return found
    return None
