"""Sentences with places for nouns, so that article and ending agree.

A place is ``{name}``, ``{article name}`` or, in German, ``{pronoun name}``. The template is ours;
what is put in is never read as a template, so a text of a person that holds braces stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.interception.writer import german
from services.interception.writer.lexicon import Noun
from services.interception.writer.phrases import Phrase
from services.interception.writer.tokens import capitalised

_PLACE = re.compile(r"\{(?:(\w+) )?(\w+)\}")
_GERMAN_PLACES = {
    "der": ("definite", "n"), "den": ("definite", "a"), "dem": ("definite", "d"),
    "ein": ("indefinite", "n"), "einen": ("indefinite", "a"), "einem": ("indefinite", "d"),
}  # fmt: skip
# Words that stand for a noun or agree with it, by its gender; those of a plural never come here.
_GERMAN_PRONOUNS = {
    "er": {"m": "er", "f": "sie", "n": "es"}, "ihn": {"m": "ihn", "f": "sie", "n": "es"},
    "ihm": {"m": "ihm", "f": "ihr", "n": "ihm"},
    **{
        f"sein{ending}": {"m": f"sein{ending}", "f": f"ihr{ending}", "n": f"sein{ending}"}
        for ending in ("", "e", "en", "em", "er", "es")
    },
}  # fmt: skip
_GERMAN_PREPOSITIONS = {"vom": "von", "zum": "zu", "beim": "bei", "im": "in", "am": "an"}
MAX_NAME_CHARACTERS = 60

Value = str | Noun | Phrase


def fill(template: str, language: str, values: Mapping[str, Value]) -> str:
    """The template with every place filled. Raises KeyError for a place nobody filled."""

    def place(match: re.Match[str]) -> str:
        article, name = match.group(1), match.group(2)
        value = values[name.lower()]
        if article is None:
            text = value if isinstance(value, str) else _bare(_noun(value))
            return text.upper() if name.isupper() else text
        found = _with_article(article.lower(), value, language)
        return capitalised(found) if article[0].isupper() else found

    return _PLACE.sub(place, template)


def _bare(value: Noun) -> str:
    return value.singular[:MAX_NAME_CHARACTERS]


def _noun(value: Noun | Phrase) -> Noun:
    return value.noun if isinstance(value, Phrase) else value


def _with_article(article: str, value: Value, language: str) -> str:
    if language == "de" and article in _GERMAN_PRONOUNS:
        # "Das Motiv", "das Wort": what has no gender of its own is a neuter.
        gender = "" if isinstance(value, str) else _noun(value).gender
        return _GERMAN_PRONOUNS[article][gender if gender in ("m", "f") else "n"]
    if isinstance(value, str):
        return value
    # What stands behind an article is a noun, even one nobody knows.
    known = value.known or value.determiner_at >= 0 if isinstance(value, Phrase) else True
    noun = _noun(value)
    # Our sentences are about one thing: "Äpfel" becomes "der Apfel"; "Leute" has no singular.
    gender = "" if noun.gender == "p" else noun.gender
    name = _bare(noun)
    if language == "de" and article in _GERMAN_PREPOSITIONS:
        # "vom Hund", "von der Katze"
        preposition, dative = _GERMAN_PREPOSITIONS[article], _with_article("dem", value, language)
        word, _, rest = dative.partition(" ")
        return f"{german.contracted(preposition, word)} {rest}"
    if language == "de":
        kind, case = _GERMAN_PLACES[article]
        if not gender:
            # A word whose gender nobody knows becomes the word itself.
            return f"{german.definite(case, 'n')} Wort »{name}«"
        word = (
            german.definite(case, gender) if kind == "definite" else german.indefinite(case, gender)
        )
        return f"{word} {german.inflected(name, case, gender)}".strip()
    if article == "the" and noun.category == "feeling":
        # "fear", "freedom": what has no edges has no article.
        return name
    if article == "the":
        return f"the {name}" if known else f"the word “{name}”"
    return f"{english_article(name)} {name}"


def english_article(noun: str) -> str:
    """Indefinite article by the first letter; "h" and "u" as they mostly sound."""
    lower = noun.lower()
    if lower.startswith(("uni", "use", "eu", "one")):
        return "a"
    return "an" if lower[:1] in "aeiou" or lower.startswith("hour") else "a"
