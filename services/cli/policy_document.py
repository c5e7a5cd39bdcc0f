"""The policy as a JSON document: what GetPolicy answers, in the words of ``policy.yaml``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from artlab.common.v1 import common_pb2
from artlab.safety.v1 import safety_pb2
from services.kit.enums import word_of


def policy_document(
    policy: safety_pb2.GetPolicyResponse,
    levels: Collection[str] = (),
    purposes: Collection[str] = (),
) -> dict[str, Any]:
    """Return the document, of some levels and purposes only where any are named.

    Pictures belong to the purposes ``image`` and ``input_image``.
    """
    wants_images = not purposes or not {"image", "input_image"}.isdisjoint(purposes)
    return {
        "level": _level(policy.level),
        "version": policy.version,
        "judges": list(policy.judges),
        "image_judges": list(policy.image_judges),
        "categories": list(policy.categories),
        "always_refused": list(policy.always_refused),
        "rows": [
            _row(row)
            for row in policy.rows
            if (not levels or _level(row.level) in levels)
            and (not purposes or word_of(safety_pb2.Purpose, row.purpose) in purposes)
        ],
        "images": [
            _image_row(row)
            for row in policy.image_rows
            if wants_images and (not levels or _level(row.level) in levels)
        ],
        "llama_guard": {
            one.code or "others": {"category": one.category, "severity": one.severity}
            for one in policy.guard_codes
        },
        "lists": {
            one.language: {"terms": one.terms, "rules": one.rules, "version": one.version}
            for one in policy.lists
        },
    }


def _level(value: int) -> str:
    return word_of(common_pb2.SafetyLevel, value)


def _row(row: safety_pb2.PolicyRow) -> dict[str, Any]:
    return {
        "level": _level(row.level),
        "purpose": word_of(safety_pb2.Purpose, row.purpose),
        "checks": [
            {
                "check": check.check,
                **({"judges": list(check.judges)} if check.judges else {}),
                "on_hit": word_of(safety_pb2.OnHit, check.on_hit),
                "on_failure": word_of(safety_pb2.OnFailure, check.on_failure),
            }
            for check in row.checks
        ],
        "categories": {rule.category: _rule(rule) for rule in row.rules},
    }


def _rule(rule: safety_pb2.CategoryRule) -> dict[str, Any]:
    outcome = word_of(safety_pb2.Outcome, rule.outcome)
    if outcome == "allow":
        return {"outcome": outcome}
    signals = {"signals": rule.signals} if rule.signals else {}
    return {"outcome": outcome, "severity": rule.severity, **signals}


def _image_row(row: safety_pb2.ImagePolicyRow) -> dict[str, Any]:
    return {
        "level": _level(row.level),
        "checked": row.checked,
        "judges": list(row.judges),
        "keep_blocked": row.keep_blocked,
        "refuse": [
            {
                "category": limit.category,
                "judge": limit.judge,
                "label": limit.label,
                "score": limit.score,
            }
            for limit in row.limits
        ],
    }
