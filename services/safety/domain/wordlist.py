"""The term lists at work, with the allow-list and the signs of history and teaching. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.safety.domain.hidden import find_hidden
from services.safety.domain.matching import Cover, Match, Matcher, Mode, Term, starred
from services.safety.domain.normalize import Folded, fold_word
from services.safety.domain.tokens import Letters
from services.safety.domain.verdict import Hit
from services.safety.domain.vocabulary import NO_VOCABULARY, Vocabulary

MAX_TERMS_SHOWN = 20
MAX_TERM_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a list: terms that are the same thing.

    `unless` are words that make it innocent when they stand within `UNLESS_WORDS` words.
    `prefixes` are what the language writes together with a word ("and", "the"): both are found
    with one of them, too.
    """

    language: str
    category: str
    severity: int
    mode: Mode
    terms: tuple[str, ...]
    inflections: frozenset[str]
    unless: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    def prefixed(self, words: Sequence[str]) -> list[str]:
        """Return words as they stand and behind the prefixes; parts (*x) stand anywhere."""
        whole = [word for word in words if not word.startswith("*")]
        return [*words, *(f"{prefix}{word}" for word in whole for prefix in self.prefixes)]


@dataclass(frozen=True, slots=True)
class Finding:
    """What the lists found: hits, and how many signs of teaching the text has."""

    hits: tuple[Hit, ...]
    signals: int


@dataclass(frozen=True, slots=True)
class _Role:
    """Why a term is looked for."""

    kind: str
    number: int


UNLESS_WORDS = 3


class Wordlist:
    """All lists of all languages; every text is checked with all of them."""

    def __init__(
        self,
        entries: Sequence[Entry],
        allowed: Sequence[Term],
        signals: Sequence[str],
        against: Sequence[str],
        version: str,
        vocabulary: Vocabulary = NO_VOCABULARY,
    ) -> None:
        self.entries = tuple(entries)
        self.version = version
        self._roles: list[_Role] = []
        terms: list[Term] = []
        for number, entry in enumerate(entries):
            owner = self._role("entry", number)
            found = entry.prefixed(entry.terms)
            terms += [Term(term, owner, entry.mode, entry.inflections) for term in found]
            owner = self._role("unless", number)
            terms += [starred(word, owner) for word in entry.prefixed(entry.unless)]
        owner = self._role("allow", 0)
        terms += [
            Term(t.text, owner, t.mode, t.inflections, t.apart, t.contracted) for t in allowed
        ]
        # A sign listed in two languages is one sign.
        stems = list(dict.fromkeys(fold_word(word.strip("*")) for word in signals))
        for word in signals:
            number = stems.index(fold_word(word.strip("*")))
            terms.append(starred(word, self._role("signal", number)))
        owner = self._role("against", 0)
        terms += [starred(word, owner) for word in against]
        self._matcher = Matcher(terms, vocabulary)
        words = {term: number for number, e in enumerate(entries) for term in e.terms}
        self._find_hidden = find_hidden(words)

    def _role(self, kind: str, number: int) -> int:
        self._roles.append(_Role(kind, number))
        return len(self._roles) - 1

    def _matches(self, readings: Sequence[Letters]) -> Mapping[str, list[tuple[int, Match]]]:
        """Return by kind what was found: the number of the entry or signal, and the match."""
        found: dict[str, list[tuple[int, Match]]] = {
            kind: [] for kind in ("entry", "unless", "allow", "signal", "against")
        }
        for match in self._matcher.find(readings):
            role = self._roles[match.owner]
            found[role.kind].append((role.number, match))
        return found

    def find(self, folded: Folded, readings: Sequence[Letters]) -> Finding:
        """Return the hits in a text, in the order they stand there, and its signs of teaching."""
        found = self._matches(readings)
        hits: dict[tuple[int, str], Hit] = {}
        for number, first, last in self._places(folded, found):
            # Said twice is found once; a text may hold thousands.
            key = number, folded.units[first : last + 1]
            if key not in hits:
                entry = self.entries[number]
                term = folded.as_it_stands(first, last)[:MAX_TERM_CHARACTERS]
                hits[key] = Hit(entry.category, entry.severity, term)
        return Finding(tuple(hits.values()), _count_signals(found["signal"], found["against"]))

    def find_entries(self, folded: Folded, readings: Sequence[Letters]) -> frozenset[int]:
        """Return the numbers of the entries that a text hits, for looking at the lists."""
        found = self._matches(readings)
        return frozenset(number for number, _, _ in self._places(folded, found))

    def _places(
        self, folded: Folded, found: Mapping[str, list[tuple[int, Match]]]
    ) -> Iterator[tuple[int, int, int]]:
        """Yield the entry, the first and the last unit of every hit."""
        innocent = Cover(match for _, match in found["allow"])
        excused: dict[int, list[int]] = {}
        for number, match in found["unless"]:
            insort(excused.setdefault(number, []), match.word)
        for number, match in found["entry"]:
            if not innocent.covers(match) and not _is_excused(match, excused.get(number, ())):
                yield number, match.whole_first, match.whole_last
        yield from self._find_hidden(folded.units)


def _is_excused(match: Match, words: Sequence[int]) -> bool:
    at = bisect_left(words, match.word - UNLESS_WORDS)
    return at < len(words) and words[at] <= match.last_word + UNLESS_WORDS


def _count_signals(
    signals: Sequence[tuple[int, Match]], against: Sequence[tuple[int, Match]]
) -> int:
    """Count different signs: neither a word said twice nor one listed in two languages counts."""
    if against:
        return 0
    return min(len({number for number, _ in signals}), len({match.first for _, match in signals}))
