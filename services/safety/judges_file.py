"""What ``policy.yaml`` says of the judges of texts, with everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from services.kit.catalogue import Defect
from services.safety.domain.levels import Level, Purpose
from services.safety.domain.policy import (
    Check,
    GuardCode,
    LanguageModelPolicy,
    OnFailure,
    Outcome,
    Row,
    Step,
)
from services.safety.ports import BUILTIN, JUDGES, LANGUAGE_MODEL
from services.safety.schema import CheckSpec, GuardCodeSpec, LanguageModelSpec

FILE = "policy.yaml"
Rows = Mapping[tuple[Level, Purpose], Row]


def build_step(spec: CheckSpec, where: str, defects: list[Defect]) -> Step:
    """Return one check of a row; what is wrong with it is added to the defects."""
    if spec.check is not Check.JUDGE:
        if spec.judges:
            defects.append(Defect(FILE, where, f"{spec.check} is no judge and has none"))
        if spec.on_failure is not OnFailure.ERROR:
            defects.append(Defect(FILE, where, f"a {spec.check} that fails is an error"))
    elif BUILTIN not in spec.judges:
        # It costs nothing, and what it refuses is not sent elsewhere.
        defects.append(Defect(FILE, where, f"the judges must include {BUILTIN}"))
    for name in spec.judges:
        if name not in JUDGES:
            defects.append(Defect(FILE, where, f"unknown judge {name}"))
    if len(set(spec.judges)) != len(spec.judges):
        defects.append(Defect(FILE, where, "a judge is named twice"))
    if spec.on_failure is OnFailure.BUILTIN and LANGUAGE_MODEL in spec.judges:
        reason = f"{LANGUAGE_MODEL} cannot be required and be done without when it is away"
        defects.append(Defect(FILE, where, reason))
    return Step(spec.check, spec.on_hit, spec.on_failure, tuple(spec.judges))


def check_judges(rows: Rows, defects: list[Defect]) -> None:
    """A stricter level asks as many judges as the next laxer one, and makes the same checks."""
    for (level, purpose), row in rows.items():
        laxer = rows.get((Level(level + 1), purpose)) if level < Level.RESEARCH else None
        if laxer is None:
            continue
        at = f"at {level.label} for {purpose}"
        made = {step.check for step in row.steps}
        for step in laxer.steps:
            if step.check not in made:
                reason = f"no {step.check} {at}, and {laxer.level.label} has it"
                defects.append(Defect(FILE, "rows", reason))
        for judge in laxer.required:
            if judge not in row.required:
                reason = f"asks no {judge} {at}, and {laxer.level.label} does"
                defects.append(Defect(FILE, "rows", reason))
        if laxer.needs_every_judge and not row.needs_every_judge:
            reason = f"does without a judge that is away {at}, and {laxer.level.label} does not"
            defects.append(Defect(FILE, "rows", reason))


def build_language_model(
    spec: LanguageModelSpec, rows: Rows, categories: Collection[str], defects: list[Defect]
) -> LanguageModelPolicy:
    """Return what a model is asked and what it means; what is wrong is added to the defects."""
    where = "language_model"
    for name in spec.categories:
        if name not in categories:
            defects.append(Defect(FILE, f"{where}.categories", f"unknown category {name}"))
    for code, meant in {**spec.llama_guard, "unknown": spec.unknown}.items():
        if meant.category not in categories:
            reason = f"unknown category {meant.category} for {code}"
            defects.append(Defect(FILE, f"{where}.llama_guard", reason))
    for level, purpose in rows:
        rule = rows[level, purpose].rules.get(spec.unknown.category)
        if rule is not None and rule.outcome_of(spec.unknown.severity) is not Outcome.BLOCK:
            reason = f"a code nobody knows would pass at {level.label} for {purpose}"
            defects.append(Defect(FILE, f"{where}.unknown", reason))
    return LanguageModelPolicy(
        spec.categories,
        {code: _guard_code(meant) for code, meant in spec.llama_guard.items()},
        _guard_code(spec.unknown),
    )


def _guard_code(spec: GuardCodeSpec) -> GuardCode:
    return GuardCode(spec.category, spec.severity)
