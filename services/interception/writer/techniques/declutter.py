"""De-Kitsch: takes clichés out, says which, and puts one exact observation in their place."""

from __future__ import annotations

import re
from dataclasses import replace

from services.interception.writer import german
from services.interception.writer.lexicon import Vocabulary
from services.interception.writer.material import Material
from services.interception.writer.phrases import Phrase, Reading, read
from services.interception.writer.techniques.depict import depict
from services.interception.writer.templates import MAX_NAME_CHARACTERS, english_article
from services.interception.writer.tokens import capitalised, like

MAX_NAMED = 8


def declutter(material: Material) -> str:
    """The text without its clichés, an observation, and what was struck out."""
    text, struck = _without_cliches(material)
    made = depict(replace(material, text=text), "plain_seeing")
    if not struck:
        return made
    named = ", ".join(dict.fromkeys(each[:MAX_NAME_CHARACTERS] for each in struck[:MAX_NAMED]))
    return f"{made} {'Gestrichen' if material.voice == 'de' else 'Struck out'}: {named}."


def _without_cliches(material: Material) -> tuple[str, list[str]]:
    words = material.vocabulary
    reading = read(material.text, words)
    texts = [token.text for token in reading.tokens]
    struck: dict[int, str] = {}
    subject = reading.phrases[0] if reading.phrases else None
    for phrase in reading.phrases:
        if phrase is not subject and _is_cliche(words, phrase.noun.singular):
            first, last = _extent(phrase)
            struck[first] = "".join(texts[first : last + 1])
            texts[first : last + 1] = [""] * (last + 1 - first)
    for at, token in enumerate(reading.tokens):
        if texts[at] and (subject is None or at != subject.at) and _is_cliche(words, token.text):
            struck[at] = token.text
            texts[at] = ""
    for phrase in reading.phrases:
        _mend_article(reading, phrase, texts)
    kept = _tidy("".join(texts))
    if not kept.strip(" .,;:!?"):
        return material.text, []
    return capitalised(kept), [struck[at] for at in sorted(struck)]


def _extent(phrase: Phrase) -> tuple[int, int]:
    """From the preposition, or else the article, to the noun."""
    starts = [phrase.preposition_at, phrase.determiner_at, *phrase.adjectives_at, phrase.at]
    return min(start for start in starts if start >= 0), phrase.at


def _is_cliche(words: Vocabulary, word: str) -> bool:
    lower = word.lower()
    return lower in words.cliches or (
        words.language == "de" and german.stem(lower)[0] in words.cliches
    )


def _mend_article(reading: Reading, phrase: Phrase, texts: list[str]) -> None:
    """What was "an epic dog" becomes "a dog"."""
    if phrase.determiner in ("a", "an") and texts[phrase.determiner_at] and texts[phrase.at]:
        left = [texts[at] for at in phrase.adjectives_at if texts[at]]
        article = english_article((left or [texts[phrase.at]])[0])
        texts[phrase.determiner_at] = like(article, reading.tokens[phrase.determiner_at].text)


def _tidy(text: str) -> str:
    """One space between words, and no comma without something on both sides."""
    text = " ".join(text.split())
    text = re.sub(r"(?: ?,)+", ",", text)
    text = re.sub(r",? ?([.!?])", r"\1", text)
    return text.strip(" ,;–-")
