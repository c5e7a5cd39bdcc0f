"""The opposite: every thing gives way to its counterpart, every quality to its contrary.

In each sentence: a negation is taken out; otherwise nouns, adjectives, verbs and directions are
exchanged by the lexicon, with article and ending made to agree; where nothing could be exchanged,
the statement itself is denied.
"""

from __future__ import annotations

import re

from services.interception.writer import german
from services.interception.writer.lexicon import Noun, NounForm, Vocabulary
from services.interception.writer.material import Material
from services.interception.writer.phrases import Phrase, Reading, read
from services.interception.writer.templates import english_article
from services.interception.writer.tokens import capitalised, is_unspaced, like, tokenize

_SENTENCE = re.compile(r"[^.!?…\n。！？]*[.!?…\n。！？]*\s*")
_KEIN = re.compile(r"\bk(ein(?:e|en|em|er|es)?)\b", re.IGNORECASE)
_GERMAN_NOT = re.compile(r"\s*\bnicht\b", re.IGNORECASE)
_ENGLISH_NOT = re.compile(
    r"\b(is|are|was|were|am|do|does|did|can|could|will|would|should|must|has|have|had)"
    r"(?:n['’]t| not)\b|\bcan(?:not|['’]t)\b|\bwon['’]t\b",
    re.IGNORECASE,
)
_ENGLISH_NO = re.compile(r"\b(no)\s+(?=\w)", re.IGNORECASE)
_BE = frozenset("is are was were am can could will would should must has have had".split())


def antonyms(material: Material) -> str:
    """The text, turned round sentence by sentence."""
    found = []
    for match in _SENTENCE.finditer(material.text):
        part = match.group()
        if part:
            found.append(_turned(material, part) if part.strip() else part)
    return "".join(found)


def _turned(material: Material, sentence: str) -> str:
    vocabulary = material.vocabulary
    affirmed = _without_negation(sentence, vocabulary.language)
    if affirmed != sentence:
        return affirmed
    exchanged = _Exchange(vocabulary, read(sentence, vocabulary)).text()
    if exchanged != sentence:
        return exchanged
    return _denied(sentence, vocabulary.language)


def _without_negation(sentence: str, language: str) -> str:
    if language == "de":
        text = _KEIN.sub(lambda match: like(match.group(1), match.group()[:1]), sentence)
        return _GERMAN_NOT.sub("", text, count=1) if text == sentence else text

    def affirm(match: re.Match[str]) -> str:
        whole = match.group().lower()
        if match.group(1) and match.group(1).lower() not in ("do", "does", "did"):
            return match.group(1)
        kept = {"wo": "will", "ca": "can", "do": "do"}[whole[:2]] if whole[:2] != "di" else "did"
        kept = "does" if whole.startswith("does") else kept
        return like(kept, match.group()[:1])

    text = _ENGLISH_NOT.sub(affirm, sentence)
    return text if text != sentence else _ENGLISH_NO.sub("every ", sentence, count=1)


class _Exchange:
    """Exchanges the words of one sentence, keeping its build."""

    def __init__(self, vocabulary: Vocabulary, reading: Reading) -> None:
        self._words = vocabulary
        self._german = vocabulary.language == "de"
        self._reading = reading
        self._texts = [token.text for token in reading.tokens]
        self._done: set[int] = set()

    def text(self) -> str:
        for phrase in self._reading.phrases:
            self._phrase(phrase)
        for at, token in enumerate(self._reading.tokens):
            if token.is_word and at not in self._done:
                self._single(at, token.text)
        return "".join(self._texts)

    def _phrase(self, phrase: Phrase) -> None:
        other = self._counterpart(phrase)
        if other is None:
            self._qualities(phrase, phrase.gender, "")
            # A thing without a counterpart keeps its name and changes its place.
            return
        self._done.update((phrase.at, phrase.determiner_at, phrase.preposition_at))
        self._done.update(phrase.adjectives_at)
        plural = phrase.is_plural and bool(other.plural)
        name = other.plural if plural else other.singular
        original = self._texts[phrase.at]
        self._texts[phrase.at] = capitalised(name) if self._german else like(name, original)
        gender = "p" if plural or other.gender == "p" else other.gender
        case = ""
        if self._german:
            case = german.case_of(
                phrase.determiner,
                phrase.gender or "m",
                phrase.preposition,
                subject=not phrase.after_verb,
            )
            self._agree(phrase, case, gender)
            if gender == "p" and case == "d" and name[-1:] not in "ns":
                self._texts[phrase.at] += "n"
        self._qualities(phrase, gender, case)
        if not self._german and phrase.determiner in ("a", "an"):
            at = phrase.determiner_at
            first = self._texts[(phrase.adjectives_at or (phrase.at,))[0]]
            self._texts[at] = like(english_article(first), self._texts[at])

    def _counterpart(self, phrase: Phrase) -> Noun | None:
        name = self._words.opposites["nouns"].get(phrase.noun.singular.lower())
        if name is None and phrase.known and self._german:
            # "Blumenwiese": the counterpart of its last part.
            head = self._head(phrase.noun)
            name = self._words.opposites["nouns"].get(head) if head else None
        if name is None:
            return None
        form: NounForm | None = self._words.nouns.get(name.lower())
        if form is not None:
            return form.noun
        return Noun(name, "", german.gender_of_ending(name) or "n", "any")

    def _head(self, noun: Noun) -> str:
        lower = noun.singular.lower()
        return next(
            (lower[i:] for i in range(3, len(lower) - 3) if lower[i:] in self._words.nouns), ""
        )

    def _agree(self, phrase: Phrase, case: str, gender: str) -> None:
        if not phrase.determiner:
            return
        article = german.inflect_determiner(phrase.determiner, case, gender)
        original = self._texts[phrase.determiner_at]
        if phrase.determiner_at == phrase.preposition_at:
            article = german.contracted(phrase.preposition, article)
        self._texts[phrase.determiner_at] = like(article, original)

    def _qualities(self, phrase: Phrase, gender: str, case: str) -> None:
        for at in phrase.adjectives_at:
            lower = self._texts[at].lower()
            self._done.add(at)
            if not self._german:
                other = self._words.opposites["adjectives"].get(lower)
                if other:
                    self._texts[at] = like(other, self._texts[at])
                continue
            bare, ending = self._bare(lower)
            other = self._words.opposites["adjectives"].get(bare, bare)
            if case and gender:
                ending = german.adjective_ending(
                    "" if phrase.determiner in ("viele", "einige") else phrase.determiner,
                    case,
                    gender,
                )
            self._texts[at] = like(german.with_ending(other, ending), self._texts[at])

    def _bare(self, lower: str) -> tuple[str, str]:
        """An adjective's stem as the lexicon has it, and its ending."""
        known = self._words.opposites["adjectives"]
        if lower in known:
            return lower, ""
        bare, ending = german.stem(lower)
        for candidate in (
            bare,
            bare + "e",
            bare[:-1] + "e" + bare[-1:],
            bare.replace("hoh", "hoch"),
        ):
            if candidate in known:
                return candidate, ending
        return bare, ending

    def _single(self, at: int, word: str) -> None:
        lower = word.lower()
        opposites = self._words.opposites
        other = opposites["verbs"].get(lower) or opposites["words"].get(lower)
        # "auf der Wiese" with another ground is turned round already.
        placed = {each.preposition_at for each in self._reading.phrases if each.at in self._done}
        if at in placed:
            return
        if other is None and at not in {each.at for each in self._reading.phrases}:
            bare, ending = self._bare(lower) if self._german else (lower, "")
            other = opposites["adjectives"].get(bare)
            if other is not None and ending:
                other = german.with_ending(other, ending)
        if other is not None:
            self._texts[at] = like(other, word)


def _denied(sentence: str, language: str) -> str:
    """Deny a sentence in which nothing could be exchanged."""
    tokens = tokenize(sentence)
    if any(is_unspaced(token.text) for token in tokens if token.is_word):
        return f"≠ {sentence}"
    if language == "en":
        for at, token in enumerate(tokens):
            if token.is_word and token.text.lower() in _BE:
                head = "".join(each.text for each in tokens[: at + 1])
                return f"{head} not{''.join(each.text for each in tokens[at + 1 :])}"
    has_letters = any(token.is_word for token in tokens)
    if not has_letters:
        return f"≠ {sentence}"
    return f"{'Alles außer' if language == 'de' else 'Anything but'}: {sentence}"
