"""The JSON entities of a run read back by who goes on with it. Pure.

What cannot be understood is an error: nothing that was recorded is taken for a yes by default.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import cast

from services.kit.errors import DataLoss
from services.orchestrator.domain.run import ModelUse, Purpose, RunError, Verdict
from services.orchestrator.engine.step import JsonObject


def verdicts_of(document: bytes) -> tuple[Verdict, ...]:
    """Return the verdicts of a safety entity, in order, at least one.

    Only the one that decided has its explanation, suggestion, alternative and language.
    Raises DataLoss RECORD_NOT_UNDERSTOOD.
    """
    top = _object(document)
    listed = top.get("verdicts")
    if not isinstance(listed, list) or not listed:
        raise _not_understood()
    verdicts = [_verdict(one) for one in listed]
    decided = next((n for n, one in enumerate(verdicts) if not one.safe), len(verdicts) - 1)
    if _is_safe(top) != verdicts[decided].safe:
        raise _not_understood()
    verdicts[decided] = replace(
        verdicts[decided],
        explanation=_text(top, "explanation"),
        suggestion=_text(top, "suggestion"),
        # Earlier releases offered none.
        alternative=_text(top, "alternative") if "alternative" in top else "",
        language=_text(top, "language"),
    )
    return tuple(verdicts)


def error_of(document: bytes) -> RunError:
    """Return what an error entity says. Raises DataLoss RECORD_NOT_UNDERSTOOD."""
    top = _object(document)
    reason, stage, retryable = top.get("type"), top.get("stage"), top.get("retryable")
    if not (isinstance(reason, str) and isinstance(stage, int) and isinstance(retryable, bool)):
        raise _not_understood()
    return RunError(reason, _text(top, "message"), stage, retryable)


def step_output_of(document: bytes) -> JsonObject:
    """Return what a step gave, from its step_output. Raises DataLoss RECORD_NOT_UNDERSTOOD."""
    output = _object(document).get("output")
    if not isinstance(output, dict):
        raise _not_understood()
    return output


def _verdict(told: object) -> Verdict:
    if not isinstance(told, dict):
        raise _not_understood()
    sequence = told.get("entity", 0)
    if not isinstance(sequence, int):
        raise _not_understood()
    return Verdict(
        safe=_is_safe(told),
        purpose=cast("Purpose", _text(told, "purpose")),
        rule=_text(told, "rule"),
        codes=_texts(told, "codes"),
        checks=_texts(told, "checks"),
        terms=_texts(told, "terms"),
        explanation="",
        suggestion="",
        language="",
        used=ModelUse("safety", _text(told, "backend"), _text(told, "model")),
        sequence=sequence,
    )


def _is_safe(told: dict[str, object]) -> bool:
    decision = told.get("decision")
    if decision not in ("safe", "blocked"):
        raise _not_understood()
    return decision == "safe"


def _text(told: dict[str, object], key: str) -> str:
    value = told.get(key)
    if not isinstance(value, str):
        raise _not_understood()
    return value


def _texts(told: dict[str, object], key: str) -> tuple[str, ...]:
    value = told.get(key)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _not_understood()
    return tuple(value)


def _object(document: bytes) -> dict[str, object]:
    try:
        found = json.loads(document)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _not_understood()
    return found


def _not_understood() -> DataLoss:
    return DataLoss("RECORD_NOT_UNDERSTOOD", "a recorded document is not what was written")
