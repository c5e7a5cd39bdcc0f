"""What a client asks for by header: to wait or not (RFC 7240), and to be recognised. Pure."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from services.kit.errors import InvalidArgument
from services.kit.ids import RunId

_NAMESPACE = uuid.UUID("6f1d3c58-0d0b-5b0e-9d3e-0c8f3b8a7e11")
_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?", re.ASCII)
_EVENT_ID = re.compile(r"[0-9]{1,15}", re.ASCII)
_WAIT = re.compile(r'wait\s*=\s*"?([0-9]{1,6})"?', re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Preference:
    """How long to wait for the end of a run, and which preferences that honours."""

    wait_seconds: float
    applied: str = ""


def parse_prefer(headers: list[str], longest_seconds: float) -> Preference:
    """Return the wait a client prefers; unknown and malformed preferences are ignored.

    ``wait=N`` shortens the wait, ``respond-async`` alone means none, both together mean: wait N
    seconds, then answer 202 (RFC 7240, 4.1 and 4.3).
    """
    parts = [part.split(";")[0].strip() for header in headers for part in header.split(",")]
    is_async = any(part.lower() == "respond-async" for part in parts)
    waits = [int(found[1]) for part in parts if (found := _WAIT.fullmatch(part))]
    applied = ["respond-async"] if is_async else []
    if waits:
        wait = min(float(waits[0]), longest_seconds)
        return Preference(wait, ", ".join([*applied, f"wait={wait:.0f}"]))
    return Preference(0.0 if is_async else longest_seconds, ", ".join(applied))


def run_id_for(key: str | None, user_id: str) -> RunId:
    """Return the run a request makes: a random one, or the one that its Idempotency-Key names.

    The same key of the same person is the same run. Raises InvalidArgument
    INVALID_IDEMPOTENCY_KEY.
    """
    if key is None:
        return RunId.new()
    if _KEY.fullmatch(key) is None:
        raise InvalidArgument(
            "INVALID_IDEMPOTENCY_KEY",
            "expected 1 to 200 printable ASCII characters",
            field="Idempotency-Key",
        )
    return RunId(str(uuid.uuid5(_NAMESPACE, f"{user_id}\n{key}")))


def parse_last_event_id(header: str | None) -> int:
    """Return the seq of the last fact a client saw; 0 when it saw none.

    Raises InvalidArgument INVALID_LAST_EVENT_ID.
    """
    if header is None or header == "":
        return 0
    if _EVENT_ID.fullmatch(header) is None:
        raise InvalidArgument(
            "INVALID_LAST_EVENT_ID", "expected the id of an event", field="Last-Event-ID"
        )
    return int(header)
