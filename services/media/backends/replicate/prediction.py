"""A prediction of Replicate, as its API describes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.media.backends.hosted.errors import protocol_error

ENDED = ("succeeded", "failed", "canceled", "aborted")
STATUSES = ("starting", "processing", *ENDED)
_ID = re.compile(r"[a-z0-9]{6,64}", re.ASCII)
# In the text of an error; Replicate has no code for it.
_BLOCKED = ("nsfw", "flagged as sensitive", "safety filter", "content policy", "(e005)")


@dataclass(frozen=True, slots=True)
class Prediction:
    """One piece of work there. `output` holds URLs."""

    id: str
    status: str
    input: Mapping[str, Any]
    output: tuple[str, ...]
    blocked: bool
    predict_seconds: float | None
    version: str

    @property
    def ended(self) -> bool:
        """Whether nothing changes any more."""
        return self.status in ENDED


def parse_prediction(told: object, title: str) -> Prediction:
    """Parse what the API answers. Raises BACKEND_PROTOCOL."""
    if not isinstance(told, dict):
        raise protocol_error(title, "holds no prediction")
    identity, status = told.get("id"), told.get("status")
    if not isinstance(identity, str) or _ID.fullmatch(identity) is None:
        raise protocol_error(title, "holds a prediction without an id")
    if status not in STATUSES:
        raise protocol_error(title, "holds a prediction in a state that is none")
    output = told.get("output")
    listed = output if isinstance(output, list) else [] if output is None else [output]
    given = told.get("input")
    metrics = told.get("metrics")
    seconds = metrics.get("predict_time") if isinstance(metrics, dict) else None
    error, version = told.get("error"), told.get("version")
    return Prediction(
        id=identity,
        status=status,
        input=given if isinstance(given, dict) else {},
        output=tuple(url for url in listed if isinstance(url, str)),
        blocked=isinstance(error, str) and any(word in error.lower() for word in _BLOCKED),
        predict_seconds=float(seconds) if isinstance(seconds, int | float) else None,
        version=version[:100] if isinstance(version, str) else "",
    )
