"""The built-in writer's words, as it asks for them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.interception.writer import german
from services.interception.writer.depiction import Depiction


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun: singular, plural ("" when there is none), gender m f n p (German) or ""."""

    singular: str
    plural: str
    gender: str
    category: str


@dataclass(frozen=True, slots=True)
class NounForm:
    """A noun as it stands in a text."""

    noun: Noun
    is_plural: bool


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of one language. Keys are lower case unless said otherwise."""

    language: str
    nouns: Mapping[str, NounForm]
    determiners: frozenset[str]
    prepositions: frozenset[str]
    contractions: frozenset[str]
    pronouns: frozenset[str]
    conjunctions: frozenset[str]
    adverbs: frozenset[str]
    verbs: frozenset[str]
    opposites: Mapping[str, Mapping[str, str]]
    intensifiers: Mapping[str, tuple[str, ...]]
    strong_verbs: Mapping[str, str]
    slang: Mapping[str, tuple[str, ...]]
    slang_nouns: Mapping[str, Noun]
    slang_adjectives: Mapping[str, str]
    slang_verbs: Mapping[str, str]
    slang_comments: Mapping[str, tuple[str, ...]]
    found: tuple[Noun, ...]
    dada: Mapping[str, tuple[str, ...]]
    forms: Mapping[str, tuple[tuple[str, str], ...]]
    reduction: Mapping[str, Mapping[str, str]]
    reduction_lines: Mapping[str, tuple[str, ...]]
    reduction_words: Mapping[str, str]
    studies: Mapping[str, tuple[str, ...]]
    spaces: Mapping[str, tuple[str, ...]]
    perspective: Mapping[str, tuple[str, ...]]
    motif: str
    cliches: frozenset[str]
    cliche_things: frozenset[str]
    threats_nouns: Mapping[str, Noun]
    threats_adjectives: Mapping[str, str]
    threats_verbs: Mapping[str, str]
    # Words that end like a threat and are none.
    threats_innocent: frozenset[str]
    # What a thing is drawn of, by category, and which kinds fill the whole canvas.
    shapes: Mapping[str, tuple[str, ...]]
    shapes_everywhere: frozenset[str]
    sketch: Mapping[str, tuple[str, ...]]
    sketch_words: Mapping[str, str]
    misheard: Mapping[str, str]
    # Every noun once, with how it sounds.
    sounding: tuple[tuple[str, Noun], ...]
    function_words: frozenset[str] = field(default_factory=frozenset)
    # By technique.
    depictions: Mapping[str, Depiction] = field(default_factory=dict)

    def knows(self, word: str) -> bool:
        """Whether this is a word of the language, as far as this lexicon goes."""
        lower = word.lower()
        if lower in self.function_words or lower in self.verbs or lower in self.nouns:
            return True
        adjective = german.stem(lower)[0] if self.language == "de" else lower
        return adjective in self.opposites["adjectives"]

    def noun(self, word: str) -> NounForm | None:
        """The noun this word is a form of, also by the last part of a German compound."""
        found = self.nouns.get(word.lower())
        if found is not None or self.language != "de":
            return found
        lower = word.lower()
        # "Blumenwiese" is a Wiese; parts of three letters ("Ei", "See") match too much.
        for start in range(3, len(lower) - 3):
            found = self.nouns.get(lower[start:])
            if found is not None:
                return _compound(word, start, found)
        return None


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The vocabularies."""

    de: Vocabulary
    en: Vocabulary

    def of(self, language: str) -> Vocabulary:
        """German for German, English for everything else."""
        return self.de if language == "de" else self.en


def _compound(word: str, start: int, found: NounForm) -> NounForm:
    head = found.noun
    front = word[:start]
    return NounForm(
        Noun(
            front + head.singular.lower(),
            front + head.plural.lower() if head.plural else "",
            head.gender,
            head.category,
        ),
        found.is_plural,
    )
