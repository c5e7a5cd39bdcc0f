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

# A clause: up to a mark at the end of a word, a comma, or a conjunction, which belong to it.
_CLAUSE = re.compile(
    r".+?(?:(?<![.!?…,;:])[.!?…,;:]+(?=\s|$)|[\n。！？]|"
    r"\s(?:und|aber|oder|sondern|doch|während|weil|wenn|and|but|or|while|because|when|if)(?=\s)|$)\s*",
    re.DOTALL | re.IGNORECASE,
)
_KEIN = re.compile(r"\bk(ein(?:e|en|em|er|es)?)(\s+)([^\W\d_]+)", re.IGNORECASE)
_GERMAN_NOT = re.compile(r"\s?\bnicht\b", re.IGNORECASE)
_ENGLISH_NOT = re.compile(
    r"\b(is|are|was|were|am|do|does|did|can|could|will|would|should|must|has|have|had)"
    r"(?:n['’]t| not)\b|\bcan(?:not|['’]t)\b|\bwon['’]t\b",
    re.IGNORECASE,
)
_ENGLISH_NO = re.compile(r"\b(no)\s+(?=\w)", re.IGNORECASE)
_NEGATED = {
    "de": (
        frozenset("ist sind war waren bin bist kann können will wollen darf dürfen".split()),
        "nicht",
    ),
    "en": (frozenset("is are was were am can could will would should must has".split()), "not"),
}

# Words that are a subject by themselves, so that no noun of their clause is one.
_SUBJECTS = frozenset(
    "ich du er sie es wir ihr man wer was jemand niemand einer keiner jeder alle viele das".split()
)


def antonyms(material: Material) -> str:
    """The text, turned round clause by clause; denied as a whole where nothing could be turned."""
    clauses = [match.group() for match in _CLAUSE.finditer(material.text)]
    turned = "".join(_turned(material, clause) for clause in clauses)
    # The pattern leaves nothing out; if it did, half an opposite would be worse than a denial.
    if len("".join(clauses)) != len(material.text) or turned == material.text:
        return _denied(material.text, material.vocabulary.language)
    return turned


def _turned(material: Material, clause: str) -> str:
    vocabulary = material.vocabulary
    affirmed = _without_negation(clause, vocabulary)
    if affirmed != clause:
        return affirmed
    exchanged = _Exchange(vocabulary, read(clause, vocabulary)).text()
    if exchanged == clause:
        return _negated_verb(clause, vocabulary.language) or clause
    return exchanged


def _without_negation(sentence: str, vocabulary: Vocabulary) -> str:
    if vocabulary.language == "de":
        text = _KEIN.sub(lambda match: _some(match, vocabulary), sentence)
        return _GERMAN_NOT.sub("", text, count=1) if text == sentence else text

    def affirm(match: re.Match[str]) -> str:
        whole = match.group().lower()
        if match.group(1) and match.group(1).lower() not in ("do", "does", "did"):
            return match.group(1)
        kept = {"wo": "will", "ca": "can", "di": "did"}.get(whole[:2], "do")
        return like("does" if whole.startswith("does") else kept, match.group()[:1])

    text = _ENGLISH_NOT.sub(affirm, sentence)
    return text if text != sentence else _ENGLISH_NO.sub("every ", sentence, count=1)


def _some(match: re.Match[str], vocabulary: Vocabulary) -> str:
    """What stays: "keine Angst" is "Angst", "keine Hunde" is "Hunde", "kein Hund" is "ein Hund"."""
    article, space, word = match.groups()
    form = vocabulary.noun(word)
    if form is not None and (
        form.is_plural or form.noun.category == "feeling" or not form.noun.plural
    ):
        return capitalised(word) if match.start() == 0 else word
    return f"{like(article, match.group()[:1])}{space}{word}"


class _Exchange:
    """Exchanges the words of one sentence, keeping its build."""

    def __init__(self, vocabulary: Vocabulary, reading: Reading) -> None:
        self._words = vocabulary
        self._german = vocabulary.language == "de"
        self._reading = reading
        self._texts = [token.text for token in reading.tokens]
        self._nouns = {phrase.at for phrase in reading.phrases}
        self._inverted = _subject_after_verb(reading) if self._german else -1
        # Words that need no more: "auf der Wiese" with another ground is turned round already.
        self._done: set[int] = set()

    def text(self) -> str:
        for phrase in self._reading.phrases:
            self._phrase(phrase)
            self._article(phrase)
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
                subject=not phrase.after_verb or phrase.at == self._inverted,
            )
            self._agree(phrase, case, gender)
            self._texts[phrase.at] = german.inflected(self._texts[phrase.at], case, gender)
            if gender == "p" and case == "d" and name[-1:] not in "ns":
                self._texts[phrase.at] += "n"
        self._qualities(phrase, gender, case)

    def _article(self, phrase: Phrase) -> None:
        if self._german or phrase.determiner not in ("a", "an"):
            return
        at = phrase.determiner_at
        first = self._texts[(phrase.adjectives_at or (phrase.at,))[0]]
        self._texts[at] = like(english_article(first), self._texts[at][:1])

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
                contrary = self._contrary(lower, phrase)
                if contrary:
                    self._texts[at] = like(contrary, self._texts[at])
                continue
            bare, ending = self._bare(lower)
            other = self._contrary(bare, phrase) or bare
            if case and gender:
                ending = german.adjective_ending(
                    "" if phrase.determiner in ("viele", "einige") else phrase.determiner,
                    case,
                    gender,
                )
            self._texts[at] = like(german.with_ending(other, ending), self._texts[at])

    def _contrary(self, adjective: str, phrase: Phrase) -> str | None:
        """The contrary adjective; what lives is young where a thing is new."""
        found = None
        if phrase.noun.category in ("person", "animal"):
            found = self._words.opposites["living"].get(adjective)
        return found or self._words.opposites["adjectives"].get(adjective)

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
        if other is None and at not in self._nouns:
            bare, ending = self._bare(lower) if self._german else (lower, "")
            other = opposites["adjectives"].get(bare)
            if other is not None and ending:
                other = german.with_ending(other, ending)
        if other is not None:
            self._texts[at] = like(other, word)


def _subject_after_verb(reading: Reading) -> int:
    """Where the subject stands if it follows its verb: "weit draußen fährt ein Schiff"; else -1.

    A clause that begins with its verb shares the subject of the one before: "und baut ein Haus".
    """
    words = [at for at, token in enumerate(reading.tokens) if token.is_word]
    if not reading.verbs_at or words[0] == reading.verbs_at[0]:
        return -1
    if any(reading.tokens[at].text.lower() in _SUBJECTS for at in words):
        return -1
    bare = [phrase for phrase in reading.phrases if not phrase.preposition]
    return bare[0].at if bare and bare[0].after_verb else -1


def _negated_verb(sentence: str, language: str) -> str:
    """The sentence with its "is" denied; empty when there is none."""
    tokens = tokenize(sentence)
    verbs, negation = _NEGATED[language]
    for at, token in enumerate(tokens):
        if token.is_word and token.text.lower() in verbs:
            head = "".join(each.text for each in tokens[: at + 1])
            return f"{head} {negation}{''.join(each.text for each in tokens[at + 1 :])}"
    return ""


def _denied(text: str, language: str) -> str:
    """Deny a text in which nothing could be exchanged."""
    tokens = [token for token in tokenize(text) if token.is_word]
    if not tokens or any(is_unspaced(token.text) for token in tokens):
        return f"≠ {text}"
    return f"{'Alles außer' if language == 'de' else 'Anything but'}: {text}"
