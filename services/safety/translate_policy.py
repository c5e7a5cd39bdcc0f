"""The policy in force as the contract says it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from artlab.safety.v1 import safety_pb2
from services.kit.enums import value_of
from services.safety.domain.image_policy import ImageRow
from services.safety.domain.levels import Level, Purpose
from services.safety.domain.policy import GuardCode, Outcome, Row
from services.safety.domain.safety import Safety
from services.safety.translate import to_level


def to_policy(
    safety: Safety, level: Level, judges: Sequence[str], image_judges: Sequence[str]
) -> safety_pb2.GetPolicyResponse:
    """Return the whole table. The judges are those that are set up, with their versions."""
    policy = safety.policy
    return safety_pb2.GetPolicyResponse(
        level=to_level(level),
        judges=judges,
        version=safety.version,
        image_check_levels=[to_level(one) for one in safety.images.check_levels],
        image_judges=image_judges,
        categories=policy.categories,
        always_refused=[one for one in policy.categories if one in policy.always_refused],
        rows=[_row(policy.rows[one, purpose], safety) for one in Level for purpose in Purpose],
        image_rows=[_image_row(safety.images.rows[one], safety) for one in Level],
        lists=[
            safety_pb2.PolicyList(
                language=one.language, terms=one.terms, rules=one.rules, version=one.version
            )
            for one in safety.lists
        ],
        guard_codes=_codes(
            [*policy.language_model.codes.items(), ("", policy.language_model.unknown)]
        ),
    )


def _row(row: Row, safety: Safety) -> safety_pb2.PolicyRow:
    return safety_pb2.PolicyRow(
        level=to_level(row.level),
        purpose=value_of(safety_pb2.Purpose, row.purpose),
        checks=[
            safety_pb2.PolicyCheck(
                check=step.check,
                on_hit=value_of(safety_pb2.OnHit, step.on_hit),
                on_failure=value_of(safety_pb2.OnFailure, step.on_failure),
                judges=step.judges,
            )
            for step in row.steps
        ],
        rules=[
            safety_pb2.CategoryRule(
                category=name,
                outcome=value_of(safety_pb2.Outcome, row.rules[name].outcome),
                severity=row.rules[name].severity,
                signals=row.rules[name].signals
                if row.rules[name].outcome is Outcome.CONTEXT
                else 0,
            )
            for name in safety.policy.categories
        ],
    )


def _image_row(row: ImageRow, safety: Safety) -> safety_pb2.ImagePolicyRow:
    order = safety.images.categories
    limits = sorted(row.limits.items(), key=lambda one: (order.index(one[1].category), one[0]))
    return safety_pb2.ImagePolicyRow(
        level=to_level(row.level),
        checked=row.level in safety.images.check_levels,
        judges=row.required,
        limits=[
            safety_pb2.ImageLimit(
                category=limit.category, judge=judge, label=label, score=limit.score
            )
            for (judge, label), limit in limits
        ],
        keep_blocked=row.keep_blocked,
    )


def _codes(codes: Iterable[tuple[str, GuardCode]]) -> list[safety_pb2.GuardCode]:
    return [
        safety_pb2.GuardCode(code=code, category=meant.category, severity=meant.severity)
        for code, meant in codes
    ]
