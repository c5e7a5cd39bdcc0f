"""The JSON entities the orchestrator writes: verdicts, their explanations, errors, steps. Pure.

Readers of run folders know these shapes; docs/run-folder.md describes them. Who goes on with a run
reads verdicts and errors back, see `recorded_documents`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from services.kit.errors import ArtlabError
from services.orchestrator.domain.run import Level, Verdict
from services.orchestrator.engine.step import Attempt, JsonObject


def verdict_document(stage: int, level: Level, verdicts: Sequence[Verdict]) -> bytes:
    """Return the JSON of a safety entity: the decision, who made it, and every check behind it.

    At the top stands what decided: the first blocking verdict, else the last one.
    """
    deciding = blocking(verdicts) or verdicts[-1]
    return _json(
        {
            "stage": stage,
            "level": level,
            "decision": "safe" if deciding.safe else "blocked",
            "rule": deciding.rule,
            "codes": list(deciding.codes),
            "terms": list(deciding.terms),
            "explanation": deciding.explanation,
            "suggestion": deciding.suggestion,
            "alternative": deciding.alternative,
            "language": deciding.language,
            "verdicts": [_verdict(verdict) for verdict in verdicts],
        }
    )


def blocking(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The first verdict that says no, None when there is none."""
    return next((verdict for verdict in verdicts if not verdict.safe), None)


def explanation_document(stage: int, verdict: Verdict) -> bytes:
    """Return the JSON of an explanation: why not, and what to try instead, for the person.

    It says what a verdict says without its evidence: no codes, no terms, no checks.
    """
    return _json(
        {
            "stage": stage,
            "decision": "blocked",
            "rule": verdict.rule,
            "explanation": verdict.explanation,
            "suggestion": verdict.suggestion,
            "alternative": verdict.alternative,
            "language": verdict.language,
        }
    )


def error_document(
    stage: int, error: ArtlabError, details: Mapping[str, str], attempts: Sequence[Attempt] = ()
) -> bytes:
    """Return the JSON of an error entity: stage, type, message, details. Never user text.

    A step that was tried more than once tells of each try in its details.
    """
    tries = {"attempts": [_attempt(one) for one in attempts]} if len(attempts) > 1 else {}
    return _json(
        {
            "stage": stage,
            "type": error.reason,
            "message": told(error),
            "retryable": is_retryable(error),
            "details": {**error.metadata, **details, **tries},
        }
    )


def step_document(
    step: str, iteration: int, output_index: int, output: JsonObject, attempts: Sequence[Attempt]
) -> bytes:
    """Return the JSON of a step_output entity: what a step gave, and every try of it."""
    return _json(
        {
            "step": step,
            "iteration": iteration,
            "output_index": output_index,
            "output": output,
            "attempts": [_attempt(attempt) for attempt in attempts],
        }
    )


def told(error: ArtlabError) -> str:
    """The message, and in front of it the field it is about: `parameters.width: expected …`."""
    return f"{error.field}: {error.message}" if error.field else error.message


def is_retryable(error: ArtlabError) -> bool:
    """Whether starting the same run again can help."""
    told = error.metadata.get("retryable")
    if told is not None:
        return told == "true"
    return error.code in ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "ABORTED")


def _verdict(verdict: Verdict) -> dict[str, object]:
    looked_at = {"entity": verdict.sequence} if verdict.sequence else {}
    return {
        "purpose": verdict.purpose,
        **looked_at,
        "decision": "safe" if verdict.safe else "blocked",
        "rule": verdict.rule,
        "codes": list(verdict.codes),
        "checks": list(verdict.checks),
        "terms": list(verdict.terms),
        "backend": verdict.used.backend,
        "model": verdict.used.model,
    }


def _attempt(attempt: Attempt) -> dict[str, object]:
    duration = round(attempt.duration.total_seconds() * 1000)
    return {"number": attempt.number, "duration_ms": duration, "error": attempt.error}


def _json(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"
