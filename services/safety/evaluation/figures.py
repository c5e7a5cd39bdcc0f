"""Outcomes into figures. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.safety.evaluation.judging import Outcome
from services.safety.evaluation.trials import PLAIN, Asked

K = TypeVar("K", bound=Hashable)
# Category or class, language, level.
Cell = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Count:
    """How many of how many."""

    hits: int = 0
    of: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.hits + other.hits, self.of + other.of)

    @property
    def share(self) -> float:
        """0 to 1; of nothing, 0."""
        return self.hits / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """All that was measured in one run.

    Attributes:
        detection: forbidden sentences refused at the level, for every purpose.
        detected: those refused at all levels where they must be.
        false_positives: allowed sentences refused at the level, for any purpose.
        refused_wrongly: by class, those refused at any level where they must not be.
        evasion: by way, sentences refused with a word hidden, of those refused without.
        by_hand: the same by language, for what the corpus hides itself.
        evaded: both together, where a person reads at a glance what is hidden; `coded` where not.
        plain_missed: sentences of evasions not refused even with nothing hidden; they say nothing
            about hiding.
        disguised: by way, innocent sentences refused with all their words hidden, of those not
            refused as they are.
        changed: by form, sentences with another verdict than as they are.
        not_judged: by the error's reason, trials without a verdict.
        milliseconds: of one claim's check, 50th and 99th percentile.
        long_texts: seconds, by what a text is made of and its length in characters.
    """

    detection: Mapping[Cell, Count]
    detected: Count
    false_positives: Mapping[Cell, Count]
    refused_wrongly: Mapping[str, Count]
    evasion: Mapping[str, Count]
    by_hand: Mapping[str, Count]
    evaded: Count
    coded: Count
    plain_missed: int
    disguised: Mapping[str, Count]
    changed: Mapping[str, Count]
    not_judged: Mapping[str, int]
    milliseconds: tuple[float, float]
    long_texts: Mapping[tuple[str, int], float]


def figures_of(outcomes: Sequence[Outcome], long_texts: Mapping[tuple[str, int], float]) -> Figures:
    """Return the figures of a run. Trials without a verdict are found nowhere, and told apart."""
    claims = [one for one in outcomes if one.trial.asked is Asked.CLAIM]
    forbidden = [one for one in claims if one.trial.refused]
    allowed = [one for one in claims if not one.trial.refused]
    hiding, plain_missed = _hiding(outcomes)
    return Figures(
        detection={
            cell: _sentences(found, all) for cell, found in _by(forbidden, _category_cell).items()
        },
        detected=_sentences(forbidden, all),
        false_positives={
            cell: _sentences(found, any) for cell, found in _by(allowed, _class_cell).items()
        },
        refused_wrongly={
            kind: _sentences(found, any) for kind, found in _by(allowed, _class).items()
        },
        evasion=_count([one for one in hiding if not one.trial.by_hand], lambda one: one.trial.way),
        by_hand=_count(
            [one for one in hiding if one.trial.by_hand], lambda one: one.trial.source.language
        ),
        evaded=_total(one for one in hiding if one.trial.readable),
        coded=_total(one for one in hiding if not one.trial.readable),
        plain_missed=plain_missed,
        disguised=_count(_disguised(outcomes, allowed), lambda one: one.trial.way),
        changed={
            way: sum((Count(int(is_changed), 1) for _, is_changed in found), Count())
            for way, found in _by(_forms(outcomes), lambda pair: pair[0].trial.way).items()
        },
        not_judged=Counter(one.why for one in outcomes if one.refused is None),
        milliseconds=_percentiles([one.seconds for one in claims]),
        long_texts=long_texts,
    )


def misses(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return what went wrong, once for each text: at the strictest level, input first."""
    allowed = [one for one in outcomes if one.trial.asked is Asked.CLAIM and not one.trial.refused]
    wrong = [
        one
        for one in outcomes
        # Disguises are below; what needs a key, no list is meant to find.
        if one.trial.asked is not Asked.DISGUISE and one.trial.readable
        if one.trial.refused is not None and one.refused != one.trial.refused
    ]
    wrong += [one for one in _disguised(outcomes, allowed) if one.refused]
    wrong += [one for one, is_changed in _forms(outcomes) if is_changed]
    wrong += [one for one in outcomes if one.refused is None]
    return list({(one.trial.asked, one.trial.text): one for one in reversed(wrong)}.values())[::-1]


def total(counts: Iterable[Count]) -> Count:
    """Return all of them together."""
    return sum(counts, Count())


def _class(one: Outcome) -> str:
    return getattr(one.trial.source, "kind", "")


def _class_cell(one: Outcome) -> Cell:
    return _class(one), one.trial.source.language, one.trial.level.label


def _category_cell(one: Outcome) -> Cell:
    source = one.trial.source
    return source.claim.category, source.language, one.trial.level.label


def _hiding(outcomes: Sequence[Outcome]) -> tuple[list[Outcome], int]:
    """Evasions whose sentence is refused with nothing hidden, and how many are not."""
    evasions = [one for one in outcomes if one.trial.asked is Asked.EVASION]
    plain = [one for one in evasions if one.trial.way == PLAIN]
    missed = {one.trial.source for one in plain if not one.refused}
    hiding = [one for one in evasions if one.trial.way != PLAIN and one.trial.source not in missed]
    return hiding, len(missed)


def _disguised(outcomes: Iterable[Outcome], allowed: Iterable[Outcome]) -> list[Outcome]:
    refused_anyway = {one.trial.source for one in allowed if one.refused}
    return [
        one
        for one in outcomes
        if one.trial.asked is Asked.DISGUISE and one.trial.source not in refused_anyway
    ]


def _forms(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, bool]]:
    """Every form, and whether its verdict is another one than that of the sentence as it is."""
    forms = [one for one in outcomes if one.trial.asked is Asked.FORM]
    plain = {one.trial.source: one.refused for one in forms if one.trial.way == PLAIN}
    return [
        (one, None not in (one.refused, before) and one.refused != before)
        for one in forms
        if one.trial.way != PLAIN
        for before in (plain[one.trial.source],)
    ]


def _sentences(outcomes: Iterable[Outcome], needed: Callable[[Iterable[bool]], bool]) -> Count:
    by_sentence = _by(outcomes, lambda one: one.trial.source)
    return total(
        Count(int(needed(bool(one.refused) for one in found)), 1) for found in by_sentence.values()
    )


def _count(outcomes: Iterable[Outcome], key: Callable[[Outcome], K]) -> dict[K, Count]:
    return {name: _total(found) for name, found in _by(outcomes, key).items()}


def _total(outcomes: Iterable[Outcome]) -> Count:
    return total(Count(int(bool(one.refused)), 1) for one in outcomes)


T = TypeVar("T")


def _by(things: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    found: dict[K, list[T]] = {}
    for thing in things:
        found.setdefault(key(thing), []).append(thing)
    return found


def _percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(seconds)
    if not ordered:
        return 0.0, 0.0
    last = len(ordered) - 1
    return ordered[last // 2] * 1000, ordered[round(last * 0.99)] * 1000
