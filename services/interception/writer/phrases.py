"""Noun phrases of a text: what it is about, how it is qualified, how it is placed.

A shallow reading by closed classes, capitals and a lexicon. It is wrong sometimes, and the
techniques are built so that a wrong reading still makes a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.interception.writer import german
from services.interception.writer.lexicon import Noun, NounForm, Vocabulary
from services.interception.writer.tokens import Token, is_unspaced, tokenize


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun with what belongs to it. Numbers are places in the tokens; -1 means none."""

    noun: Noun
    is_plural: bool
    known: bool
    at: int
    preposition: str = ""
    preposition_at: int = -1
    determiner: str = ""
    determiner_at: int = -1
    # Places of words between determiner and noun that are likely adjectives.
    adjectives_at: tuple[int, ...] = ()
    # A verb stands before it in its sentence.
    after_verb: bool = False

    @property
    def gender(self) -> str:
        """For agreement: p in the plural."""
        return "p" if self.is_plural else self.noun.gender

    @property
    def name(self) -> str:
        """The noun as it is called here."""
        return self.noun.plural if self.is_plural and self.noun.plural else self.noun.singular


@dataclass(frozen=True, slots=True)
class Reading:
    """A text, read."""

    tokens: Sequence[Token]
    phrases: tuple[Phrase, ...]
    verbs_at: tuple[int, ...]

    def adjectives(self, phrase: Phrase) -> list[str]:
        """The adjectives of a phrase, as they stand."""
        return [self.tokens[at].text for at in phrase.adjectives_at]


@dataclass
class _Pending:
    """What has been seen of a phrase before its noun."""

    preposition: str = ""
    preposition_at: int = -1
    determiner: str = ""
    determiner_at: int = -1
    adjectives: list[int] = field(default_factory=list)


class _Reader:
    def __init__(self, vocabulary: Vocabulary, tokens: Sequence[Token]) -> None:
        self._vocabulary = vocabulary
        self._german = vocabulary.language == "de"
        self._tokens = tokens
        self._phrases: list[Phrase] = []
        self._verbs: list[int] = []
        self._pending = _Pending()
        self._after_verb = False
        self._sentence_start = True

    def read(self) -> Reading:
        for at, token in enumerate(self._tokens):
            if token.is_word:
                self._word(at, token.text)
                self._sentence_start = False
            elif any(mark in token.text for mark in '.,;:!?…\n–—()[]{}"„“”»«'):
                # "a small, lonely dog": a comma between adjectives ends nothing.
                if token.text.strip() != "," or not self._pending.adjectives:
                    self._close()
                if any(mark in token.text for mark in ".!?…\n;"):
                    self._sentence_start, self._after_verb = True, False
        self._close()
        return Reading(self._tokens, tuple(self._phrases), tuple(self._verbs))

    def _word(self, at: int, word: str) -> None:
        lower, words = word.lower(), self._vocabulary
        form = words.noun(word)
        if self._german and lower in words.contractions:
            self._close()
            preposition, determiner = german.split_contraction(word) or (lower, "")
            self._pending = _Pending(preposition, at, determiner, at)
        elif lower in words.determiners and not (form and self._capital(word)):
            pending = self._pending
            if pending.adjectives or pending.determiner:
                self._close()
                pending = self._pending
            pending.determiner, pending.determiner_at = lower, at
        elif lower in words.prepositions:
            self._close()
            self._pending = _Pending(lower, at)
        elif lower in words.function_words and not (form and self._capital(word)):
            if lower not in words.adverbs:
                self._close()
        elif self._is_verb(lower, form, word):
            self._close()
            self._verbs.append(at)
            self._after_verb = True
        elif form is not None and self._is_noun(at, word):
            self._emit(at, form, known=True)
        elif self._looks_like_noun(word):
            gender = self._guess_gender(word)
            self._emit(at, NounForm(Noun(word, "", gender, "any"), False), known=False)
        elif not is_unspaced(word) and not word[0].isdigit():
            self._pending.adjectives.append(at)

    def _is_verb(self, lower: str, form: NounForm | None, word: str) -> bool:
        if lower not in self._vocabulary.verbs:
            return False
        if self._german:
            return form is None or not self._capital(word)
        pending = self._pending
        if form is None:
            # "the dance", "a glowing robot": after a determiner it is no verb.
            return not pending.determiner
        return not (pending.determiner or pending.adjectives or pending.preposition)

    def _is_noun(self, at: int, word: str) -> bool:
        if self._german:
            # "arm", "reich", "morgen": written small and after a determiner, an adjective follows.
            if self._capital(word):
                return True
            if self._vocabulary.opposites["adjectives"].get(word.lower()):
                return False
            return not self._next_is_noun(at)
        return not self._next_is_noun(at)

    def _next_is_noun(self, at: int) -> bool:
        for token in self._tokens[at + 1 : at + 3]:
            if token.is_word:
                form = self._vocabulary.noun(token.text)
                return form is not None and token.text.lower() not in self._vocabulary.verbs
            if token.text.strip():
                return False
        return False

    def _capital(self, word: str) -> bool:
        return self._german and word[0].isupper()

    def _looks_like_noun(self, word: str) -> bool:
        if not self._german or not word[0].isupper() or len(word) < 2:
            return False
        stem = german.stem(word.lower())[0]
        adjectives = self._vocabulary.opposites["adjectives"]
        if stem in adjectives or word.lower() in adjectives:
            return False
        # At the start every word is written large; there a determiner is proof, an ending a hint.
        return not self._sentence_start or bool(german.gender_of_ending(word))

    def _guess_gender(self, word: str) -> str:
        if not self._german:
            return ""
        return german.gender_of_ending(word) or german.gender_of_determiner(
            self._pending.determiner, self._pending.preposition
        )

    def _emit(self, at: int, form: NounForm, *, known: bool) -> None:
        pending = self._pending
        self._phrases.append(
            Phrase(
                noun=form.noun,
                is_plural=form.is_plural,
                known=known,
                at=at,
                preposition=pending.preposition,
                preposition_at=pending.preposition_at,
                determiner=pending.determiner,
                determiner_at=pending.determiner_at,
                adjectives_at=tuple(pending.adjectives),
                after_verb=self._after_verb,
            )
        )
        self._pending = _Pending()

    def _close(self) -> None:
        """A phrase ends without a known noun: after a determiner its last word is one."""
        pending = self._pending
        if pending.adjectives and (pending.determiner or pending.preposition):
            at = pending.adjectives.pop()
            word = self._tokens[at].text
            noun = Noun(word, "", self._guess_gender(word), "any")
            self._emit(at, NounForm(noun, False), known=False)
        self._pending = _Pending()


def read(text: str, vocabulary: Vocabulary) -> Reading:
    """Read a text; a text without any noun phrase offers its longest words instead."""
    tokens = tokenize(text)
    reading = _Reader(vocabulary, tokens).read()
    if reading.phrases:
        return reading
    candidates = [
        at
        for at, token in enumerate(tokens)
        if token.is_word
        and token.text.lower() not in vocabulary.function_words
        and token.text.lower() not in vocabulary.verbs
        and not token.text.isdigit()
    ]
    longest = sorted(candidates, key=lambda at: -len(tokens[at].text))[:2]
    found = tuple(
        Phrase(Noun(tokens[at].text[:40], "", "", "any"), False, False, at)
        for at in sorted(longest)
    )
    return Reading(tokens, found, reading.verbs_at)


def distinct(phrases: Sequence[Phrase]) -> list[Phrase]:
    """The phrases in order, each noun once."""
    seen: dict[str, Phrase] = {}
    for phrase in phrases:
        seen.setdefault(phrase.noun.singular.lower(), phrase)
    return list(seen.values())
