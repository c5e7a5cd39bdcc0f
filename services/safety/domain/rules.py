"""Rules about words that are harmless alone: a bomb and how to build it. Pure.

A rule is met when one word of every one of its groups stands within a few words of the others.
Order does not matter, so passive voice and German verb-last clauses are met as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.safety.domain.matching import Cover, Match, Matcher, Term, starred
from services.safety.domain.normalize import Folded
from services.safety.domain.tokens import Letters
from services.safety.domain.verdict import Hit
from services.safety.domain.vocabulary import NO_VOCABULARY, Vocabulary
from services.safety.domain.wordlist import MAX_TERM_CHARACTERS


@dataclass(frozen=True, slots=True)
class Rule:
    """Groups of words (a star ends a stem) that mean something together.

    `unless` are words that make it innocent when they stand among them (within `within` words).
    """

    name: str
    category: str
    severity: int
    within: int
    groups: tuple[tuple[str, ...], ...]
    unless: tuple[str, ...] = ()


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
        self._owners: list[tuple[int, int]] = []
        terms: list[Term] = []
        for number, rule in enumerate(rules):
            # Group -1 holds what excuses.
            for group, words in enumerate((rule.unless, *rule.groups), start=-1):
                self._owners.append((number, group))
                terms += [starred(word, len(self._owners) - 1) for word in words]
        self._allow = len(self._owners)
        terms += [Term(t.text, self._allow, t.mode, t.inflections, t.apart, t.contracted) for t in allowed]
        self._matcher = Matcher(terms, vocabulary)

    def find(self, folded: Folded, readings: Sequence[Letters]) -> tuple[Hit, ...]:
        """Return one hit for each rule that is met, in order of the rules."""
        return tuple(hit for _, hit in self.met(folded, readings))

    def met(self, folded: Folded, readings: Sequence[Letters]) -> list[tuple[Rule, Hit]]:
        """Return each rule that is met, with its hit."""
        matches = self._matcher.find(readings)
        innocent = Cover(match for match in matches if match.owner == self._allow)
        by_rule: dict[int, list[tuple[int, Match]]] = {}
        for match in matches:
            if match.owner != self._allow and not innocent.covers(match):
                number, group = self._owners[match.owner]
                by_rule.setdefault(number, []).append((group, match))
        found: list[tuple[Rule, Hit]] = []
        for number in sorted(by_rule):
            rule = self.rules[number]
            span = _first_meeting(rule, by_rule[number])
            if span is not None:
                term = folded.as_it_stands(*span)[:MAX_TERM_CHARACTERS]
                found.append((rule, Hit(rule.category, rule.severity, term)))
        return found


def _first_meeting(rule: Rule, matches: Iterable[tuple[int, Match]]) -> tuple[int, int] | None:
    """Return the units of the first place where all groups meet, in one pass over the matches."""
    ordered = list(matches)
    window: deque[tuple[int, Match]] = deque()
    counts = dict.fromkeys(range(-1, len(rule.groups)), 0)
    for group, match in ordered:
        window.append((group, match))
        counts[group] += 1
        while match.word - window[0][1].word > rule.within:
            gone, _ = window.popleft()
            counts[gone] -= 1
        if all(counts[g] for g in range(len(rule.groups))) and not _excused(
            rule, window, counts, ordered
        ):
            whole = [m for g, m in window if g >= 0]
            return min(m.whole_first for m in whole), max(m.whole_last for m in whole)
    return None


def _excused(
    rule: Rule,
    window: deque[tuple[int, Match]],
    counts: dict[int, int],
    ordered: list[tuple[int, Match]],
) -> bool:
    if not rule.unless:
        return False
    if counts[-1]:
        return True
    # What excuses may also follow the meeting.
    last = window[-1][1].word
    return any(group == -1 and last <= match.word <= last + rule.within for group, match in ordered)
