"""What is put to the checker: sentences, hidden words and other ways of writing, each at a level.

Pure: the same corpus gives the same trials in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from services.safety.domain.levels import Level, Purpose
from services.safety.evaluation.corpus import Corpus, Evasion, Sentence
from services.safety.evaluation.hiding import WAYS, disguised, hidden

# A sentence as it is, among those in which something is hidden and those in other forms.
PLAIN = "plain"
# Addresses and numbers are made of punctuation and case; changing it makes other ones.
_MADE_OF_FORM = "personal_data"
# Five rather than all: a run is a matter of seconds.
DISGUISES_EACH = 5


class Asked(StrEnum):
    """What a trial is to find out."""

    CLAIM = "claim"
    EVASION = "evasion"
    DISGUISE = "disguise"
    FORM = "form"


@dataclass(frozen=True, slots=True)
class Trial:
    """One text at one level, and whether it must be refused there.

    Attributes:
        source: the sentence of the corpus that the text was made from.
        refused: what must be; None for a form, which must be judged as its source is.
        way: how something is hidden, or the name of a form.
        by_hand: it was hidden by whoever wrote the corpus.
        readable: a person reads at a glance what is hidden.
    """

    asked: Asked
    source: Sentence | Evasion
    text: str
    level: Level
    purpose: Purpose
    refused: bool | None
    way: str = PLAIN
    by_hand: bool = False
    readable: bool = True


FORMS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("lower case", str.lower),
    ("upper case", str.upper),
    ("full stop", lambda text: f"{text}."),
    ("exclamation marks", lambda text: f"{text} !!!"),
    ("quotation marks", lambda text: f"„{text}“"),
    ("wide spaces", lambda text: "  ".join(text.split())),
    ("line breaks", lambda text: "\n".join(text.split())),
    ("hyphens", lambda text: "-".join(text.split())),
)


def claims(
    corpus: Corpus, levels: Collection[Level], purposes: Collection[Purpose]
) -> Iterator[Trial]:
    """Yield every sentence wherever something is claimed of it."""
    for sentence in corpus.sentences:
        for level in levels:
            refused = sentence.claim.refused(level)
            if refused is None:
                continue
            for purpose in purposes:
                if purpose in sentence.purposes:
                    yield Trial(Asked.CLAIM, sentence, sentence.text, level, purpose, refused)


def evasions(corpus: Corpus, levels: Collection[Level]) -> Iterator[Trial]:
    """Yield every hidden word in every way, at the laxest of the levels that must refuse it.

    The sentence as it is comes first: where that is not found, hiding it says nothing.
    """
    for evasion in corpus.evasions:
        refusing = [level for level in levels if evasion.claim.refused(level)]
        if not refusing:
            continue
        as_it_is = Trial(
            Asked.EVASION,
            evasion,
            evasion.text,
            max(refusing),
            Purpose.INPUT,
            True,
            evasion.way or PLAIN,
            by_hand=bool(evasion.way),
        )
        yield as_it_is
        if evasion.word:
            for way, text in hidden(evasion.text, evasion.word):
                yield replace(as_it_is, text=text, way=way.name, readable=way.readable)


def disguises(corpus: Corpus, level: Level) -> Iterator[Trial]:
    """Yield what is innocent with all its words hidden, each sentence in some ways in turn.

    Whoever finds what is hidden must not find what is not there.
    """
    ways = [way for way in WAYS if way.readable and way.innocent]
    innocent = [one for one in corpus.sentences if one.claim.refused(level) is False]
    for number, sentence in enumerate(innocent):
        for turn in range(DISGUISES_EACH):
            way = ways[(number * DISGUISES_EACH + turn) % len(ways)]
            text = disguised(sentence.text, way)
            if text != sentence.text:
                yield Trial(Asked.DISGUISE, sentence, text, level, Purpose.INPUT, False, way.name)


def forms(corpus: Corpus, level: Level) -> Iterator[Trial]:
    """Yield every sentence as it is, and after it in every form that may not change its verdict."""
    for sentence in corpus.sentences:
        if sentence.claim.category == _MADE_OF_FORM:
            continue
        yield Trial(Asked.FORM, sentence, sentence.text, level, Purpose.INPUT, None)
        for name, write in FORMS:
            text = write(sentence.text)
            if text != sentence.text:
                yield Trial(Asked.FORM, sentence, text, level, Purpose.INPUT, None, name)
