"""An evaluation as a JSON document, for whoever draws a curve of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from services.safety.evaluation.evaluation import Evaluation
from services.safety.evaluation.figures import Cell, Count
from services.safety.evaluation.judging import Outcome


def document_of(
    found: Evaluation, about: Mapping[str, str], missed: Iterable[Outcome]
) -> dict[str, Any]:
    """Return it; counts are {"hits", "of"}, times are in milliseconds."""
    figures = found.figures
    return {
        "about": dict(about),
        "aims": [asdict(aim) for aim in found.aims],
        "forbidden_refused": _cells(figures.detection, "category"),
        "forbidden_refused_at_all_levels": _count(figures.detected),
        "allowed_refused": _cells(figures.false_positives, "class"),
        "allowed_refused_at_any_level": _counts(figures.refused_wrongly),
        "evasions_refused": _counts(figures.evasion),
        "evasions_by_hand_refused": _counts(figures.by_hand),
        "evasions_readable_refused": _count(figures.evaded),
        "evasions_coded_refused": _count(figures.coded),
        "evasions_not_refused_plain": figures.plain_missed,
        "innocent_in_disguise_refused": _counts(figures.disguised),
        "verdicts_changed_by_form": _counts(figures.changed),
        "not_judged": dict(figures.not_judged),
        "milliseconds": dict(zip(("p50", "p99"), figures.milliseconds, strict=True)),
        "long_texts": [
            {"made_of": name, "characters": length, "milliseconds": seconds * 1000}
            for (name, length), seconds in figures.long_texts.items()
        ],
        "misses": [miss_of(one) for one in missed],
    }


def miss_of(one: Outcome) -> dict[str, Any]:
    """Return what went wrong with one text. `refused` is null where there was no verdict."""
    trial = one.trial
    return {
        "asked": trial.asked.value,
        "text": trial.text,
        "language": trial.source.language,
        "category": trial.source.claim.category,
        "level": trial.level.label,
        "purpose": trial.purpose.value,
        "way": trial.way,
        "refused": one.refused,
        "why": one.why,
    }


def _cells(counts: Mapping[Cell, Count], name: str) -> list[dict[str, Any]]:
    return [
        {name: row, "language": language, "level": level, **_count(count)}
        for (row, language, level), count in counts.items()
    ]


def _counts(counts: Mapping[str, Count]) -> dict[str, dict[str, int]]:
    return {name: _count(count) for name, count in counts.items()}


def _count(count: Count) -> dict[str, int]:
    return {"hits": count.hits, "of": count.of}
