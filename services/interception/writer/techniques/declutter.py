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
    idea = _idea_at(words, reading)
    for phrase in reading.phrases:
        if phrase.at != idea and _is_thing(words, phrase, texts[phrase.at]):
            first, last = _extent(phrase)
            struck[first] = "".join(texts[first : last + 1])
            texts[first : last + 1] = [""] * (last + 1 - first)
    for at, token in enumerate(reading.tokens):
        is_thing = at != idea and token.text.lower() in words.cliche_things
        if texts[at] and (is_thing or _decorates(words, token.text)):
            struck[at] = token.text
            texts[at] = ""
    _drop_dangling(words, reading, texts)
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


def _idea_at(words: Vocabulary, reading: Reading) -> int:
    """The first word that says something: what the text begins with. -1 where there is none."""
    for at, token in enumerate(reading.tokens):
        is_small = token.text.lower() in words.function_words
        if token.is_word and not is_small and not _decorates(words, token.text):
            return at
    return -1


def _is_thing(words: Vocabulary, phrase: Phrase, text: str) -> bool:
    names = {text.lower(), (phrase.name if phrase.is_plural else phrase.noun.singular).lower()}
    return bool(names & words.cliche_things)


def _drop_dangling(words: Vocabulary, reading: Reading, texts: list[str]) -> None:
    """Take out what led to something that is gone: "with", "and the" at the end of a clause."""
    leading = words.prepositions | words.conjunctions | words.determiners | words.contractions
    at_end, something_gone = True, False
    for at in range(len(texts) - 1, -1, -1):
        token = reading.tokens[at]
        if not token.is_word:
            if token.text.strip():
                at_end, something_gone = True, False
        elif not texts[at]:
            something_gone = True
        elif at_end and something_gone and token.text.lower() in leading:
            texts[at] = ""
        else:
            at_end = False


def _decorates(words: Vocabulary, word: str) -> bool:
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
