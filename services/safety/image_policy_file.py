"""The part of ``policy.yaml`` about pictures into the table, with everything wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from services.kit.catalogue import Defect
from services.safety.domain.detector_labels import DETECTOR_LABELS
from services.safety.domain.image_policy import ImagePolicy, ImageRow, Limit
from services.safety.domain.levels import LEVELS_BY_LABEL, Level
from services.safety.judges_file import FILE
from services.safety.schema import ImageLevelSpec, ImagesSpec

DETECTOR = "nudenet"
VISION = "vision"


def build_image_policy(spec: ImagesSpec, defects: list[Defect]) -> ImagePolicy:
    """Return the table; what is wrong with it is added to the defects."""
    categories = tuple(spec.categories)
    if len(set(categories)) != len(categories):
        defects.append(Defect(FILE, "images.categories", "a category is named twice"))
    defects.extend(
        Defect(FILE, "images.never_kept", f"unknown category {name}")
        for name in spec.never_kept
        if name not in categories
    )
    # A vision model is asked about our own categories.
    labels = {DETECTOR: frozenset(DETECTOR_LABELS), VISION: frozenset(categories)}
    rows: dict[Level, ImageRow] = {}
    for label, level in LEVELS_BY_LABEL.items():
        if label not in spec.levels:
            defects.append(Defect(FILE, "images.levels", f"says nothing about {label}"))
            continue
        rows[level] = _row(level, spec.levels[label], categories, labels, defects)
    _check_strictness(rows, defects)
    checked = tuple(level for label, level in LEVELS_BY_LABEL.items() if label in spec.check_levels)
    for level in checked:
        if level in rows and not rows[level].limits:
            defects.append(
                Defect(FILE, f"images.levels.{level.label}", "is to be checked and refuses nothing")
            )
        if level > Level.KIDS and Level(level - 1) not in checked:
            reason = f"{level.label} is checked and the stricter level before it is not"
            defects.append(Defect(FILE, "images.check_levels", reason))
    return ImagePolicy(categories, checked, frozenset(spec.never_kept), rows)


def _row(
    level: Level,
    spec: ImageLevelSpec,
    categories: Collection[str],
    labels: Mapping[str, Collection[str]],
    defects: list[Defect],
) -> ImageRow:
    where = f"images.levels.{level.label}"
    for judge in spec.judges:
        if judge not in labels:
            defects.append(Defect(FILE, f"{where}.judges", f"unknown judge {judge}"))
    limits: dict[tuple[str, str], Limit] = {}
    for category, judges in spec.refuse.items():
        if category not in categories:
            defects.append(Defect(FILE, f"{where}.refuse", f"unknown category {category}"))
        for judge, scores in judges.items():
            for label, score in scores.items():
                field = f"{where}.refuse.{category}.{judge}"
                if label not in labels.get(judge, ()):
                    defects.append(Defect(FILE, field, f"{judge} knows no {label}"))
                if (judge, label) in limits:
                    defects.append(Defect(FILE, field, f"{label} is in another category already"))
                limits[judge, label] = Limit(category, score)
    return ImageRow(level, tuple(spec.judges), limits, spec.keep_blocked)


def _check_strictness(rows: Mapping[Level, ImageRow], defects: list[Defect]) -> None:
    """A stricter level lets nothing be seen that the next laxer one does not, and asks as many."""
    for level, row in rows.items():
        laxer = rows.get(Level(level + 1)) if level < Level.RESEARCH else None
        if laxer is None:
            continue
        where = f"images.levels.{level.label}"
        for (judge, label), limit in laxer.limits.items():
            own = row.limits.get((judge, label))
            if own is None or own.score > limit.score:
                reason = f"{judge}'s {label} is laxer than at {laxer.level.label}"
                defects.append(Defect(FILE, f"{where}.refuse", reason))
        for judge in laxer.required:
            if judge not in row.required:
                reason = f"asks no {judge}, and {laxer.level.label} does"
                defects.append(Defect(FILE, f"{where}.judges", reason))
