"""Youth slang: few words, much melody. Things and facts of the text stay."""

from __future__ import annotations

from services.interception.writer.exchange import Exchange
from services.interception.writer.material import Material
from services.interception.writer.phrases import Phrase, distinct, read
from services.interception.writer.tokens import capitalised, like


def slang(material: Material) -> str:
    """The text, retold in the schoolyard."""
    words, draw = material.vocabulary, material.draw
    reading = read(material.text, words)
    texts = [token.text for token in reading.tokens]
    exchange = Exchange(material.voice, words.slang_nouns, words.slang_adjectives)
    for phrase in reading.phrases:
        exchange.rename(phrase, texts)
    for at in reading.verbs_at:
        other = words.slang_verbs.get(texts[at].lower())
        if other:
            texts[at] = like(other, texts[at])
    _loosen(material, texts, reading.verbs_at)
    body = "".join(texts).strip()
    opener = draw.one(words.slang["openers"])
    first = next((text for text in texts if text.strip()), "")
    if first.lower() in words.function_words and first != "I":
        # After an opener the sentence goes on, so a function word begins small.
        body = body[:1].lower() + body[1:]
        if not reading.verbs_at and first.lower() in _ARTICLES[material.voice]:
            body = f"{draw.one(words.slang['frames'])} {body}"
    body, mark = _without_mark(body)
    closers = draw.some(words.slang["closers"], 2 if len(body) > 300 else 1)
    comment = _comments(material, distinct(reading.phrases))
    return " ".join([f"{opener} {body}{mark}", *([comment] if comment else []), *closers])


def _loosen(material: Material, texts: list[str], verbs_at: tuple[int, ...]) -> None:
    """Put particles behind verbs, where speech has them."""
    count = int(material.option("particles"))
    particles = material.draw.some(material.vocabulary.slang["particles"], count)
    finite = [at for at in verbs_at if not texts[at].endswith(("rum", "raus", "ing"))]
    for at, particle in zip(finite, particles, strict=False):
        texts[at] = f"{texts[at]} {particle}"


_ARTICLES = {
    "de": frozenset(("ein", "eine", "der", "die", "das")),
    "en": frozenset(("a", "an", "the")),
}


def _comments(material: Material, phrases: list[Phrase]) -> str:
    """What one says about the first thing and the last."""
    comments = material.vocabulary.slang_comments
    fitting = [each.noun.category for each in phrases if each.noun.category in comments]
    chosen = list(dict.fromkeys([*fitting[:1], *fitting[-1:]]))
    said = [material.draw.one(comments[category]) for category in chosen]
    joint = ", und " if material.voice == "de" else ", and "
    return f"{capitalised(joint.join(said))}." if said else ""


def _without_mark(body: str) -> tuple[str, str]:
    if body.endswith(("?", "!")):
        return body[:-1].rstrip(), body[-1]
    return body.rstrip(". "), "."
