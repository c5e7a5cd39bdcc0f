"""Rules about words that are harmless alone: a bomb and how to build it. Pure.

A rule is met when one word of every one of its groups stands within a few words of the others.
Order does not matter, so passive voice and German verb-last clauses are met as well, unless the
rule says that it does: "dogs are" and "are dogs" are not the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from services.safety.domain.matching import Cover, Match, Matcher, Term, starred
from services.safety.domain.normalize import Folded
from services.safety.domain.tokens import Letters
from services.safety.domain.verdict import Hit
from services.safety.domain.vocabulary import NO_VOCABULARY, Vocabulary
from services.safety.domain.wordlist import MAX_TERM_CHARACTERS

# What a rule's word ends with that is also found with the endings of its language.
INFLECTED = "~"
NO_INFLECTIONS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """Groups of words that mean something together.

    A star ends a stem, a tilde a word that may have one of the `inflections`. `unless` are words
    that make it innocent when they stand among them (within `within` words). `ordered` groups
    have to stand in the order that they are written in.
    """

    name: str
    category: str
    severity: int
    within: int
    groups: tuple[tuple[str, ...], ...]
    unless: tuple[str, ...] = ()
    ordered: bool = False
    inflections: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A rule, and the numbers of its groups."""

    rule: Rule
    groups: tuple[int, ...]
    unless: int


class RuleBook:
    """All rules of all languages; every text is checked with all of them."""

    def __init__(
        self,
        rules: Sequence[Rule],
        allowed: Sequence[Term],
        version: str,
        vocabulary: Vocabulary = NO_VOCABULARY,
    ) -> None:
        self.rules = tuple(rules)
        self.version = version
        # Groups that several rules have are numbered once, and words of several groups are looked
        # for once: "I" is in forty of them.
        groups: dict[tuple[tuple[str, ...], frozenset[str]], int] = {}
        words: dict[tuple[str, frozenset[str]], int] = {}
        self._numbered: list[_Numbered] = []
        for rule in rules:
            unless, *numbers = (
                groups.setdefault((group, rule.inflections), len(groups))
                for group in (rule.unless, *rule.groups)
            )
            self._numbered.append(_Numbered(rule, tuple(numbers), unless))
        # The groups of each word, by its number.
        self._groups: list[list[int]] = []
        for (group, inflections), number in groups.items():
            for word in dict.fromkeys(group):
                # Endings matter to few words; the same word of two languages is one.
                key = word, inflections if word.endswith(INFLECTED) else NO_INFLECTIONS
                if words.setdefault(key, len(words)) == len(self._groups):
                    self._groups.append([])
                self._groups[words[key]].append(number)
        terms = [_term(word, number, endings) for (word, endings), number in words.items()]
        self._allow = len(words)
        terms += [
            Term(t.text, self._allow, t.mode, t.inflections, t.apart, t.contracted) for t in allowed
        ]
        self._matcher = Matcher(terms, vocabulary)

    def find(self, folded: Folded, readings: Sequence[Letters]) -> tuple[Hit, ...]:
        """Return one hit for each rule that is met, in order of the rules."""
        return tuple(hit for _, hit in self.met(folded, readings))

    def met(self, folded: Folded, readings: Sequence[Letters]) -> list[tuple[Rule, Hit]]:
        """Return each rule that is met, with its hit."""
        matches = self._matcher.find(readings)
        innocent = Cover(match for match in matches if match.owner == self._allow)
        by_group: dict[int, list[Match]] = {}
        for match in matches:
            if match.owner != self._allow and not innocent.covers(match):
                for number in self._groups[match.owner]:
                    by_group.setdefault(number, []).append(match)
        found: list[tuple[Rule, Hit]] = []
        for numbered in self._numbered:
            if not all(number in by_group for number in numbered.groups):
                continue
            rule = numbered.rule
            groups = [by_group[number] for number in numbered.groups]
            span = _first_meeting(rule, groups, by_group.get(numbered.unless, []))
            if span is not None:
                term = folded.as_it_stands(*span)[:MAX_TERM_CHARACTERS]
                found.append((rule, Hit(rule.category, rule.severity, term)))
        return found


def _term(word: str, owner: int, inflections: frozenset[str]) -> Term:
    if word.endswith(INFLECTED):
        return Term(word.removesuffix(INFLECTED), owner, inflections=inflections)
    return starred(word, owner)


def _first_meeting(
    rule: Rule, groups: Sequence[Sequence[Match]], excuses: Sequence[Match]
) -> tuple[int, int] | None:
    """Return the units of the first place where all groups meet, in one pass over the matches."""
    matches = sorted((match, number) for number, group in enumerate(groups) for match in group)
    excused = [match.word for match in excuses]
    window: deque[tuple[Match, int]] = deque()
    counts = [0] * len(groups)
    absent = len(groups)
    for match, number in matches:
        window.append((match, number))
        counts[number] += 1
        absent -= counts[number] == 1
        while match.word - window[0][0].word > rule.within:
            _, gone = window.popleft()
            counts[gone] -= 1
            absent += counts[gone] == 0
        if absent or _is_excused(match.word, rule.within, excused):
            continue
        if not rule.ordered or _is_in_order(window, len(groups)):
            return (
                min(found.whole_first for found, _ in window),
                max(found.whole_last for found, _ in window),
            )
    return None


def _is_in_order(window: deque[tuple[Match, int]], groups: int) -> bool:
    """Whether a word of each group follows one of the group before it."""
    wanted, after = 0, -1
    for match, number in window:
        if number == wanted and match.word > after:
            wanted, after = wanted + 1, match.last_word
    return wanted == groups


def _is_excused(word: int, within: int, excuses: Sequence[int]) -> bool:
    """Whether a word that excuses stands near enough to the last word of a meeting."""
    at = bisect_left(excuses, word - within)
    return at < len(excuses) and excuses[at] <= word + within
