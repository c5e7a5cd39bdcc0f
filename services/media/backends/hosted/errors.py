"""What can go wrong with a backend behind an API, as errors of ours.

    NotTaken (Unavailable)   certainly not carried out: asking again costs nothing
    Lost (Unavailable)       sent, and no whole answer came: it may have been made, and be paid for
    BACKEND_BUSY             wants us to come back later: asking again costs nothing
    all others               asking again gives the same answer

What the server wrote is left out: it may quote the prompt or the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from services.kit.errors import (
    ArtlabError,
    DeadlineExceeded,
    FailedPrecondition,
    ResourceExhausted,
    Unavailable,
)

LONGEST_RETRY_AFTER_SECONDS = 3600.0
# Words of APIs for a request their filter stops, in codes and, of Replicate, in its error's text.
_BLOCKED_CODES = frozenset(
    ("content_filter", "content_policy_violation", "moderation_blocked", "safety_violation")
)
_NO_CREDIT_CODES = frozenset(("insufficient_quota", "billing_hard_limit_reached"))
# Answers of a door in front of the API: what is behind it may have done the work.
_MAYBE_DONE = frozenset((408, 504, 524))
_CODE = re.compile(r"[a-z][a-z_]{0,59}", re.ASCII)
# No digits: a key that is quoted where a name belongs is none.
_PARAMETER = re.compile(r"[a-z][a-z_.]{0,59}", re.ASCII)
_ANOTHER_TRY = {"retryable": "true", "advice": "ask again, or describe it differently"}


class NotTaken(Unavailable):
    """BACKEND_UNAVAILABLE: not reached, or it said that it could not.

    `sent`: it was reached, so only its word says that it did nothing.
    """

    def __init__(
        self,
        title: str,
        why: str,
        retry_after_seconds: float | None = None,
        *,
        sent: bool = True,
    ) -> None:
        self.sent = sent
        super().__init__(
            "BACKEND_UNAVAILABLE", f"{title} {why}", retry_after_seconds=retry_after_seconds
        )


class Lost(Unavailable):
    """BACKEND_LOST: nobody can tell whether it was made."""

    def __init__(self, title: str, why: str) -> None:
        super().__init__(
            "BACKEND_LOST",
            f"the answer of {title} was lost: {why}",
            metadata={"advice": "it may have been made, and be paid for; ask again if need be"},
        )


def silent(title: str) -> DeadlineExceeded:
    """BACKEND_TIMEOUT: taken in, and then nothing came for too long."""
    return DeadlineExceeded("BACKEND_TIMEOUT", f"{title} was silent too long")


def protocol_error(title: str, what: str) -> Unavailable:
    """BACKEND_PROTOCOL: the answer is none that this API gives."""
    return Unavailable("BACKEND_PROTOCOL", f"the answer of {title} {what}")


def busy(title: str, retry_after_seconds: float | None = None) -> ResourceExhausted:
    """BACKEND_BUSY: too many requests."""
    return ResourceExhausted(
        "BACKEND_BUSY", f"{title} wants fewer requests", retry_after_seconds=retry_after_seconds
    )


def blocked(title: str) -> FailedPrecondition:
    """BACKEND_BLOCKED: the API's own filter says no to the prompt or to what came of it."""
    return FailedPrecondition(
        "BACKEND_BLOCKED",
        f"{title} does not make this: its content filter says no",
        metadata={"retryable": "false", "advice": "describe it differently"},
    )


def no_output(title: str, why: str) -> FailedPrecondition:
    """BACKEND_NO_OUTPUT: it ended well and gave no file."""
    return FailedPrecondition("BACKEND_NO_OUTPUT", f"{title} {why}", metadata=_ANOTHER_TRY)


def failed(title: str, why: str) -> FailedPrecondition:
    """BACKEND_FAILED: the model itself failed."""
    return FailedPrecondition("BACKEND_FAILED", f"{title} {why}", metadata=_ANOTHER_TRY)


def not_authorized(title: str, setting: str) -> FailedPrecondition:
    """BACKEND_NOT_AUTHORIZED: the key is refused."""
    return FailedPrecondition(
        "BACKEND_NOT_AUTHORIZED", f"{title} refuses the key; check {setting} and the key's rights"
    )


def model_missing(title: str) -> FailedPrecondition:
    """BACKEND_MODEL_MISSING: no such model there."""
    return FailedPrecondition(
        "BACKEND_MODEL_MISSING",
        f"{title} has no such model; check options.model of the output config",
    )


def rejected(title: str, status: int, parameter: str = "") -> FailedPrecondition:
    """BACKEND_REJECTED: the request is not one this API takes."""
    return FailedPrecondition(
        "BACKEND_REJECTED",
        f"{title} refuses the request; check options and slots of the output config",
        metadata={"status": str(status), "parameter": parameter},
    )


def too_large(limit: int) -> ResourceExhausted:
    """MEDIA_TOO_LARGE: more bytes than an output may have."""
    return ResourceExhausted("MEDIA_TOO_LARGE", f"the file is larger than {limit} bytes")


def from_status(
    title: str, setting: str, status: int, headers: Mapping[str, str], body: object
) -> ArtlabError:
    """The error an HTTP status other than 2xx means; `body` is its JSON, if it is any."""
    told = _told(body)
    code = _code(told)
    after = retry_after(headers, body)
    if code in _BLOCKED_CODES or _is_flagged(told):
        return blocked(title)
    if status == 402 or code in _NO_CREDIT_CODES:
        return FailedPrecondition("BACKEND_NO_CREDIT", f"the account at {title} has no credit left")
    if status in (401, 403):
        return not_authorized(title, setting)
    if status in (404, 410):
        return model_missing(title)
    if status == 429:
        return busy(title, after)
    if status in _MAYBE_DONE:
        return Lost(title, f"status {status}")
    if status >= 500:
        return NotTaken(title, f"answered {status}", after)
    if status < 400:
        return FailedPrecondition(
            "BACKEND_REJECTED", f"{title} sends us elsewhere ({status}); check its address"
        )
    return rejected(title, status, _word(_PARAMETER, told.get("param")))


def retry_after(headers: Mapping[str, str], body: object = None) -> float | None:
    """Seconds the server asks us to wait: by the header, or as Hugging Face writes it."""
    value = headers.get("retry-after", "").strip()
    seconds: object = body.get("estimated_time") if isinstance(body, dict) else None
    if value.isascii() and value.isdigit():
        seconds = float(value)
    elif value:
        try:
            until = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            until = None
        if until is not None and until.tzinfo is not None:
            seconds = (until - datetime.now(UTC)).total_seconds()
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    # NaN compares false with everything.
    return min(float(seconds), LONGEST_RETRY_AFTER_SECONDS) if seconds > 0 else None


def _told(body: object) -> Mapping[str, Any]:
    """The part of an error's body that says what it is."""
    inner = body.get("error") if isinstance(body, dict) else None
    if isinstance(inner, dict):
        return inner
    return body if isinstance(body, dict) else {}


def _code(told: Mapping[str, Any]) -> str:
    return _word(_CODE, told.get("code")) or _word(_CODE, told.get("type"))


def _is_flagged(told: Mapping[str, Any]) -> bool:
    # As OpenRouter tells of moderation.
    metadata = told.get("metadata")
    return isinstance(metadata, dict) and bool({"reasons", "flagged_input"} & set(metadata))


def _word(form: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and form.fullmatch(value) else ""
