"""Who somebody is: full names of people of the writer's own life, and their schools. Pure, linear.

A name alone says nothing about whether its bearer is real: "Karl Meier malt einen Baum" may be
anybody's invention, and guessing would refuse Hans im Glück. So a name counts where the text says
that it is somebody's own ("ich heiße …") or of somebody the writer knows ("meine Lehrerin Frau …").
Persons of stories and of history stay free wherever they are named.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from services.safety.domain.personal.contact import Spans
from services.safety.domain.personal.words import Phrases, Word

SCHOOL_NEAR_CHARACTERS = 60
MAX_NAME_WORDS = 4
_PARTICLES = frozenset(("von", "van", "de", "der", "den", "zu", "al", "el", "di", "da", "le", "la"))
# Between two words of one name stands nothing else.
_WITHIN_NAME = re.compile(r" |-| ?\. ?", re.ASCII)

_KIND = re.compile(
    r"(?:grundschule|hauptschule|realschule|gesamtschule|gemeinschaftsschule|förderschule|"
    r"oberschule|mittelschule|sekundarschule|waldorfschule|berufsschule|volksschule|schule|"
    r"gymnasium|kita|kindergarten|school|academy)(?!\w)",
    re.IGNORECASE,
)
_SCHOOL_NAME = re.compile(
    r"(?P<name>(?:(?<!\w)[A-ZÄÖÜ][\wäöüß]{1,24}[- ]){0,4}(?<!\w)[A-ZÄÖÜ][\wäöüß]{1,24}[- ]?|"
    r"(?<!\w)[A-ZÄÖÜ][a-zäöüß]{2,24})$"
)
_GOES_THERE = re.compile(
    r"\b(?:ich|wir) (?:gehe|gehen|geh|bin|sind) (?:in der|in die|auf der|auf die|auf das|aufs|ins|"
    r"an der|im|am) (?:\w{1,12} ){0,3}$|\b(?:meine|unsere|mein|unser) schule (?:heißt|ist) "
    r"(?:die |das )?$|\b(?:i|we) (?:go to|attend|study at|am at|are at) (?:the )?$|"
    r"\bmy school is (?:called )?(?:the )?$|\bmy school['’]s name is (?:the )?$",
    re.IGNORECASE,
)
_CLASS = re.compile(
    r"(?<!\w)(?:(?:klasse|kl\.|class|grade|year) {0,2}\d{1,2} ?[a-h]?|\d{1,2}[a-h])(?!\w)",
    re.IGNORECASE,
)


class People:
    """What tells a real person from one of a story; all words in lower case.

    Args:
        introductions: what stands before one's own name.
        relations: what stands before the name of somebody one knows.
        titles: as Herr and Mrs.
        given_names: of people here.
        no_family_names: words that follow a given name and are none.
        known_to_all: persons of stories and history.
        known_schools: schools of stories.
        no_school_names: words before a kind of school that name none.
    """

    def __init__(
        self,
        introductions: Iterable[str],
        relations: Iterable[str],
        titles: Iterable[str],
        given_names: Collection[str],
        no_family_names: Collection[str],
        known_to_all: Collection[str],
        known_schools: Collection[str],
        no_school_names: Collection[str],
    ) -> None:
        self._introductions = Phrases(introductions)
        self._relations = Phrases(relations)
        self._titles = frozenset(title.rstrip(".") for title in titles)
        self._given = frozenset(given_names)
        self._no_family = frozenset(no_family_names)
        self._known = frozenset(known_to_all)
        self._schools = frozenset(known_schools)
        self._no_school = frozenset(no_school_names)

    def names(self, text: str, words: Sequence[Word]) -> Spans:
        """Yield where full names of the writer and of people the writer knows stand."""
        for at in self._introductions.ends(words):
            yield from self._full_name(text, words, at)
        for at in self._relations.ends(words):
            if at < len(words) and words[at].lower in self._titles:
                yield from self._titled(text, words, at + 1)
            else:
                yield from self._full_name(text, words, at)

    def schools(self, text: str) -> Spans:
        """Yield where the school of the writer stands, or a school with one of its classes."""
        for kind in _KIND.finditer(text):
            from_here = max(0, kind.start() - SCHOOL_NEAR_CHARACTERS)
            name = _SCHOOL_NAME.search(text[from_here : kind.start()])
            if name is None or not self._names_a_school(name["name"], kind[0]):
                continue
            start, end = from_here + name.start("name"), kind.end()
            before = text[max(0, start - SCHOOL_NEAR_CHARACTERS) : start]
            after = text[end : end + SCHOOL_NEAR_CHARACTERS]
            if _GOES_THERE.search(before) or _CLASS.search(before) or _CLASS.search(after):
                yield start, end

    def _full_name(self, text: str, words: Sequence[Word], at: int) -> Spans:
        parts = list(_together(text, words, at))
        if not parts or parts[0].lower not in self._given:
            return
        capital = text[parts[0].start].isupper()
        for last in range(1, len(parts)):
            word = parts[last]
            if word.lower in _PARTICLES:
                continue
            # Who writes names with capitals writes both so; small letters give no sign.
            is_family = text[word.start].isupper() == capital and word.lower not in self._no_family
            if is_family and not self._is_known(parts[: last + 1]):
                yield parts[0].start, word.end
            return

    def _titled(self, text: str, words: Sequence[Word], at: int) -> Spans:
        for part in _together(text, words, at):
            if part.lower in _PARTICLES:
                continue
            if text[part.start].isupper() and part.lower not in self._known:
                yield part.start, part.end
            return

    def _is_known(self, parts: Sequence[Word]) -> bool:
        lower = [part.lower for part in parts]
        return " ".join(lower) in self._known or " ".join(lower[:2]) in self._known

    def _names_a_school(self, name: str, kind: str) -> bool:
        whole = f"{name}{kind}".lower()
        if any(school in whole for school in self._schools):
            return False
        first = re.split(r"[ -]", name.lower())[0]
        return len(first) >= 3 and first not in self._no_school


def _together(text: str, words: Sequence[Word], at: int) -> Iterator[Word]:
    """Yield words from a place on, as long as they may be of one name."""
    before: Word | None = None
    for word in words[at : at + MAX_NAME_WORDS]:
        if before is not None and not _WITHIN_NAME.fullmatch(text[before.end : word.start]):
            return
        yield word
        before = word
