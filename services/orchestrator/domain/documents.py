"""The JSON entities the orchestrator writes: verdicts and errors. Pure.

Readers of run folders know these shapes; docs/run-folder.md describes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from services.kit.errors import ArtlabError
from services.orchestrator.domain.run import Level, Verdict


def verdict_document(stage: int, level: Level, verdicts: Sequence[Verdict]) -> bytes:
    """Return the JSON of a safety entity: the decision, who made it, and every check behind it.

    At the top stands what decided: the first blocking verdict, else the last one.
    """
    deciding = next((v for v in verdicts if not v.safe), verdicts[-1])
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
            "language": deciding.language,
            "verdicts": [_verdict(verdict) for verdict in verdicts],
        }
    )


def error_document(stage: int, error: ArtlabError, details: Mapping[str, str]) -> bytes:
    """Return the JSON of an error entity: stage, type, message, details. Never user text."""
    return _json(
        {
            "stage": stage,
            "type": error.reason,
            "message": error.message,
            "retryable": is_retryable(error),
            "details": {**error.metadata, **details},
        }
    )


def is_retryable(error: ArtlabError) -> bool:
    """Whether starting the same run again can help."""
    told = error.metadata.get("retryable")
    if told is not None:
        return told == "true"
    return error.code in ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "ABORTED")


def _verdict(verdict: Verdict) -> dict[str, object]:
    return {
        "purpose": verdict.purpose,
        "decision": "safe" if verdict.safe else "blocked",
        "rule": verdict.rule,
        "codes": list(verdict.codes),
        "checks": list(verdict.checks),
        "terms": list(verdict.terms),
        "backend": verdict.used.backend,
        "model": verdict.used.model,
    }


def _json(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"
