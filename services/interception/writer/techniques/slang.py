"""Youth slang: few words, much melody. Things and facts of the text stay."""

from __future__ import annotations

from services.interception.writer import german
from services.interception.writer.material import Material
from services.interception.writer.phrases import Phrase, distinct, read
from services.interception.writer.templates import english_article
from services.interception.writer.tokens import capitalised, like


def slang(material: Material) -> str:
    """The text, retold in the schoolyard."""
    words, draw = material.vocabulary, material.draw
    reading = read(material.text, words)
    texts = [token.text for token in reading.tokens]
    for phrase in reading.phrases:
        _rename(material, phrase, texts)
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


def _rename(material: Material, phrase: Phrase, texts: list[str]) -> None:
    words = material.vocabulary
    other = words.slang_nouns.get(phrase.noun.singular.lower())
    gender = phrase.gender
    case = ""
    if material.voice == "de":
        case = german.case_of(
            phrase.determiner, gender or "m", phrase.preposition, subject=not phrase.after_verb
        )
    if other is not None and not phrase.is_plural:
        texts[phrase.at] = like(other.singular, texts[phrase.at]) if not case else other.singular
        if case and phrase.determiner:
            gender = other.gender
            article = german.inflect_determiner(phrase.determiner, case, gender)
            if phrase.determiner_at == phrase.preposition_at:
                article = german.contracted(phrase.preposition, article)
            texts[phrase.determiner_at] = like(article, texts[phrase.determiner_at])
    for at in phrase.adjectives_at:
        texts[at] = _adjective(material, texts[at], phrase, case, gender)
    if not case and phrase.determiner in ("a", "an"):
        first = texts[(phrase.adjectives_at or (phrase.at,))[0]]
        texts[phrase.determiner_at] = like(english_article(first), texts[phrase.determiner_at])


def _adjective(material: Material, word: str, phrase: Phrase, case: str, gender: str) -> str:
    found = material.vocabulary.slang_adjectives
    lower = word.lower()
    if material.voice != "de":
        return like(found[lower], word) if lower in found else word
    bare, _ = german.stem(lower)
    other = found.get(lower) or found.get(bare)
    if other is not None:
        if other.startswith("=") or not case:
            return like(other.removeprefix("="), word)
        ending = german.adjective_ending(phrase.determiner, case, gender or "m")
        return like(german.with_ending(other, ending), word)
    # A new gender asks for a new ending.
    if case and gender and gender != phrase.gender:
        return like(
            german.with_ending(bare, german.adjective_ending(phrase.determiner, case, gender)), word
        )
    return word


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
