"""Putting other words for those of a text, so that article and ending still agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.interception.writer import german
from services.interception.writer.lexicon import Noun
from services.interception.writer.phrases import Phrase
from services.interception.writer.templates import english_article
from services.interception.writer.tokens import like


@dataclass(frozen=True, slots=True)
class Exchange:
    """What stands for what. Keys are lower case; an adjective "=x" stands as it is, undeclined."""

    voice: str
    nouns: Mapping[str, Noun]
    adjectives: Mapping[str, str]

    def rename(self, phrase: Phrase, texts: list[str]) -> None:
        """Exchange a phrase's noun and adjectives in `texts`, one for each token."""
        other = self._other(phrase, texts[phrase.at])
        gender = phrase.gender
        case = ""
        if self.voice == "de":
            case = german.case_of(
                phrase.determiner, gender or "m", phrase.preposition, subject=not phrase.after_verb
            )
        if other is not None:
            texts[phrase.at] = other.singular if case else like(other.singular, texts[phrase.at])
            if case and phrase.determiner:
                gender = other.gender
                article = german.inflect_determiner(phrase.determiner, case, gender)
                if phrase.determiner_at == phrase.preposition_at:
                    article = german.contracted(phrase.preposition, article)
                texts[phrase.determiner_at] = like(article, texts[phrase.determiner_at])
        for at in phrase.adjectives_at:
            texts[at] = self._adjective(texts[at], phrase, case, gender)
        if not case and phrase.determiner in ("a", "an"):
            first = texts[(phrase.adjectives_at or (phrase.at,))[0]]
            texts[phrase.determiner_at] = like(english_article(first), texts[phrase.determiner_at])

    def _other(self, phrase: Phrase, text: str) -> Noun | None:
        if not phrase.is_plural:
            return self.nouns.get(phrase.noun.singular.lower())
        found = self.nouns.get(text.lower())
        return found if found is not None and found.gender in ("p", "") else None

    def _adjective(self, word: str, phrase: Phrase, case: str, gender: str) -> str:
        lower = word.lower()
        if self.voice != "de":
            return like(self.adjectives[lower], word) if lower in self.adjectives else word
        bare, _ = german.stem(lower)
        other = self.adjectives.get(lower) or self.adjectives.get(bare)
        if other is not None:
            if other.startswith("=") or not case:
                return like(other.removeprefix("="), word)
            ending = german.adjective_ending(phrase.determiner, case, gender or "m")
            return like(german.with_ending(other, ending), word)
        # A new gender asks for a new ending.
        if case and gender and gender != phrase.gender:
            ending = german.adjective_ending(phrase.determiner, case, gender)
            return like(german.with_ending(bare, ending), word)
        return word
