"""``policy.yaml`` into the policy table, with everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping

from services.kit.catalogue import Defect
from services.safety.domain.levels import LEVELS_BY_LABEL, Level, Purpose
from services.safety.domain.policy import CategoryRule, Check, Outcome, Policy, Row, is_laxer
from services.safety.judges_file import FILE, build_language_model, build_step, check_judges
from services.safety.schema import CategorySpec, PolicyFile

# Without these two a row would let everything pass.
REQUIRED_CHECKS = (Check.WORDLIST, Check.JUDGE)
Rows = dict[tuple[Level, Purpose], Row]


def build_policy(file: PolicyFile, defects: list[Defect]) -> Policy:
    """Return the table; what is wrong with it is added to the defects."""
    categories = tuple(file.categories)
    if len(set(categories)) != len(categories):
        defects.append(Defect(FILE, "categories", "a category is named twice"))
    defects.extend(
        Defect(FILE, "always_refused", f"unknown category {name}")
        for name in file.always_refused
        if name not in categories
    )
    rows = _rows(file, defects)
    always = frozenset(file.always_refused)
    for level in Level:
        for purpose in Purpose:
            if (level, purpose) not in rows:
                defects.append(Defect(FILE, "rows", f"no row for {level.label} and {purpose}"))
    _check_always_refused(rows, always, defects)
    _check_strictness(rows, categories, defects)
    check_judges(rows, defects)
    language_model = build_language_model(file.language_model, rows, categories, defects)
    return Policy(categories, always, rows, language_model)


def _rows(file: PolicyFile, defects: list[Defect]) -> Rows:
    rows: Rows = {}
    bases = {label: _base(label, file, defects) for label in LEVELS_BY_LABEL}
    for number, spec in enumerate(file.rows):
        where = f"rows.{number}"
        steps = tuple(build_step(check, f"{where}.checks", defects) for check in spec.checks)
        checks = [step.check for step in steps]
        missing = [check for check in REQUIRED_CHECKS if check not in checks]
        if missing or len(set(checks)) != len(checks):
            reason = f"needs each of {', '.join(REQUIRED_CHECKS)}, and no check twice"
            defects.append(Defect(FILE, f"{where}.checks", reason))
        for name in spec.categories:
            if name not in file.categories:
                defects.append(Defect(FILE, f"{where}.categories", f"unknown category {name}"))
        own = {name: _rule(category) for name, category in spec.categories.items()}
        for label in spec.levels:
            for purpose in spec.purposes:
                key = LEVELS_BY_LABEL[label], purpose
                if key in rows:
                    defects.append(Defect(FILE, where, f"a second row for {label} and {purpose}"))
                rows[key] = Row(*key, steps, {**bases[label], **own})
    return rows


def _base(label: str, file: PolicyFile, defects: list[Defect]) -> Mapping[str, CategoryRule]:
    specs: Mapping[str, CategorySpec] = {
        name: spec
        for level, found in file.levels.items()
        if level == label
        for name, spec in found.items()
    }
    where = f"levels.{label}"
    for name in file.categories:
        if name not in specs:
            defects.append(Defect(FILE, where, f"says nothing about {name}"))
    for name in specs:
        if name not in file.categories:
            defects.append(Defect(FILE, where, f"unknown category {name}"))
    # A category nobody decided about blocks; the defect above stops the service anyway.
    undecided = dict.fromkeys(file.categories, CategoryRule(Outcome.BLOCK))
    return {**undecided, **{name: _rule(spec) for name, spec in specs.items()}}


def _rule(spec: CategorySpec) -> CategoryRule:
    return CategoryRule(spec.outcome, spec.severity, spec.signals)


def _check_always_refused(rows: Rows, always: frozenset[str], defects: list[Defect]) -> None:
    for (level, purpose), row in rows.items():
        for name in sorted(always & row.rules.keys()):
            if row.rules[name] != CategoryRule(Outcome.BLOCK):
                reason = f"{name} must be blocked at {level.label} for {purpose}, whatever"
                defects.append(Defect(FILE, "rows", reason))


def _check_strictness(rows: Rows, categories: tuple[str, ...], defects: list[Defect]) -> None:
    """A stricter level lets nothing pass that the next laxer one does not."""
    for (level, purpose), row in rows.items():
        laxer = rows.get((Level(level + 1), purpose)) if level < Level.RESEARCH else None
        for name in categories if laxer is not None else ():
            if laxer is not None and is_laxer(row.rules[name], laxer.rules[name]):
                reason = f"{name} is laxer at {level.label} than at {laxer.level.label}"
                defects.append(Defect(FILE, "rows", f"{reason} for {purpose}"))
