"""Single values of messages: numbers, times, lines, digests, reasons."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from services.kit.errors import InvalidArgument

MAX_DURATION_MS = 24 * 3600 * 1000
MAX_INT64 = 2**63 - 1

_REASON = re.compile(r"[A-Z][A-Z0-9_]{2,62}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FIRST_SECOND = -62_135_596_800  # 0001-01-01T00:00:00Z
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z


@contextmanager
def below(path: str) -> Iterator[None]:
    """Name fields by where they are: `path` comes before what an InvalidArgument inside names."""
    try:
        yield
    except InvalidArgument as error:
        error.field = f"{path}.{error.field}" if error.field else path
        raise


def parse_number(value: int, field: str, *, least: int = 0, most: int) -> int:
    """Return a number within bounds. Raises InvalidArgument OUT_OF_BOUNDS."""
    if not least <= value <= most:
        raise InvalidArgument("OUT_OF_BOUNDS", f"expected {least} to {most}", field=field)
    return value


def parse_reason(reason: str, field: str) -> str:
    """Return a reason. Raises InvalidArgument INVALID_REASON."""
    if _REASON.fullmatch(reason) is None:
        raise InvalidArgument("INVALID_REASON", "expected ^[A-Z][A-Z0-9_]{2,62}$", field=field)
    return reason


def parse_sha256(text: str, field: str) -> str:
    """Return a digest. Raises InvalidArgument INVALID_DIGEST."""
    if _SHA256.fullmatch(text) is None:
        raise InvalidArgument(
            "INVALID_DIGEST", "expected 64 lower-case hex characters", field=field
        )
    return text


def parse_line(text: str, field: str, most: int) -> str:
    """Return a text of at most so many characters.

    Raises InvalidArgument TEXT_TOO_LONG, INVALID_CHARACTER.
    """
    if len(text) > most:
        raise InvalidArgument("TEXT_TOO_LONG", f"at most {most} characters", field=field)
    if has_control(text):
        raise InvalidArgument("INVALID_CHARACTER", "a control character", field=field)
    return text


def parse_time(stamp: Timestamp, field: str) -> datetime:
    """Return a moment in UTC, cut to microseconds. Raises InvalidArgument INVALID_TIME."""
    # Protobuf does not check either of them, and converting would raise or wrap.
    if not 0 <= stamp.nanos < 1_000_000_000 or not _FIRST_SECOND <= stamp.seconds <= _LAST_SECOND:
        raise InvalidArgument("INVALID_TIME", "not a valid Timestamp", field=field)
    start = datetime(1970, 1, 1, tzinfo=UTC)
    return start + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)


def parse_milliseconds(
    duration: Duration, field: str, *, least: int = 0, most: int = MAX_DURATION_MS
) -> int:
    """Return a duration in milliseconds within bounds. Raises InvalidArgument INVALID_DURATION."""
    milliseconds = duration.seconds * 1000 + duration.nanos // 1_000_000
    if not 0 <= duration.nanos < 1_000_000_000 or not least <= milliseconds <= most:
        raise InvalidArgument(
            "INVALID_DURATION", f"expected {least / 1000:g} to {most / 1000:g} seconds", field=field
        )
    return milliseconds


def has_control(text: str) -> bool:
    """Whether there is a control character in it, other than tab and ends of lines."""
    return _CONTROL.search(text) is not None
