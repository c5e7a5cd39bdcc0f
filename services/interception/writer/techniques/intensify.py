"""Overdrive: intensification. Every excess grows out of a word of the text."""

from __future__ import annotations

from collections.abc import Sequence

from services.interception.writer.material import Material
from services.interception.writer.phrases import Phrase, Reading, distinct, read
from services.interception.writer.templates import MAX_NAME_CHARACTERS, english_article, fill
from services.interception.writer.tokens import capitalised, like, sentences

# A text longer than this is intensified in its beginning; the rest is heaped up at the end.
MAX_SENTENCES = 12


def intensify(material: Material) -> str:
    """The text with everything turned up, then a finale."""
    parts = sentences(material.text)
    pool = _Pool(material)
    turned = [_turn_up(material, part, pool) for part in parts[:MAX_SENTENCES]]
    rest = parts[MAX_SENTENCES:]
    if rest:
        turned.append(" ".join(rest).upper())
    phrases = distinct(read(material.text, material.vocabulary).phrases)
    return " ".join([*turned, _finale(material, phrases)])


class _Pool:
    """Draws without repetition until a list is used up."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._left: dict[str, list[str]] = {}

    def next(self, name: str) -> str:
        left = self._left.get(name)
        if not left:
            left = self._material.draw.shuffled(self._material.vocabulary.intensifiers[name])
            self._left[name] = left
        return left.pop()


def _turn_up(material: Material, sentence: str, pool: _Pool) -> str:
    words = material.vocabulary
    reading = read(sentence, words)
    texts = [token.text for token in reading.tokens]
    degree = int(material.option("degree"))
    seen_adjectives: set[int] = set()
    for number, phrase in enumerate(reading.phrases):
        for at in phrase.adjectives_at:
            texts[at] = f"{pool.next('adverbs')} {texts[at]}"
            seen_adjectives.add(at)
        _enlarge(material, reading, phrase, texts, pool)
        if number < degree * 2:
            kind = "places" if phrase.preposition else "appositions"
            ending = "," if _goes_on(reading, phrase) else ""
            texts[phrase.at] += f", {pool.next(kind)}{ending}"
    for at in reading.verbs_at:
        stronger = words.strong_verbs.get(texts[at].lower())
        if stronger:
            texts[at] = like(stronger, texts[at])
    text = "".join(texts).rstrip()
    if not reading.phrases:
        text = f"{text} – {pool.next('appositions')}"
    return _shouted(text)


def _enlarge(
    material: Material, reading: Reading, phrase: Phrase, texts: list[str], pool: _Pool
) -> None:
    """Make the noun itself bigger: by a prefix in German, by an adjective in English."""
    name = texts[phrase.at]
    if material.voice == "de":
        if phrase.known and name[:1].isupper():
            texts[phrase.at] = pool.next("prefixes") + name[:1].lower() + name[1:]
        return
    bigger = pool.next("prefixes")
    texts[phrase.at] = f"{bigger} {name}"
    if phrase.determiner in ("a", "an"):
        first = texts[phrase.adjectives_at[0]] if phrase.adjectives_at else bigger
        article = english_article(first)
        texts[phrase.determiner_at] = like(article, reading.tokens[phrase.determiner_at].text[:1])


def _goes_on(reading: Reading, phrase: Phrase) -> bool:
    following = reading.tokens[phrase.at + 1 : phrase.at + 3]
    return len(following) == 2 and following[0].text.isspace() and following[1].is_word


def _shouted(text: str) -> str:
    """A statement becomes an exclamation; a question stays one, and is shouted."""
    if text.endswith(("?", "？")):
        return f"{text}!"
    return text.rstrip(".。…!") + "!"


def _finale(material: Material, phrases: Sequence[Phrase]) -> str:
    draw, words = material.draw, material.vocabulary
    if phrases:
        # The first thing is what the text is about.
        name = phrases[0].noun.singular[:MAX_NAME_CHARACTERS]
    else:
        pieces = material.text.split()
        name = max(pieces, key=len)[:MAX_NAME_CHARACTERS] if pieces else "!"
    return capitalised(fill(draw.one(words.intensifiers["finales"]), material.voice, {"a": name}))
