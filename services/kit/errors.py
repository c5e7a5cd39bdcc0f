"""The errors of the domain. Pure: no transport is known here.

    ArtlabError
    ├── InvalidArgument      a field of the request is wrong (names the field)
    ├── NotFound             the thing named does not exist
    ├── AlreadyExists        the name is taken by something else
    ├── FailedPrecondition   not in this state; repeating does not help
    ├── PermissionDenied     known, but not allowed
    ├── OutOfRange           an offset or a position past the end
    ├── Aborted              somebody else was faster; start over
    ├── ResourceExhausted    a limit or a full disk; come back later
    ├── Unavailable          a peer is away; the same call may work later
    ├── DeadlineExceeded     the time was over
    ├── Cancelled            somebody asked to stop
    ├── DataLoss             stored bytes are not what was recorded
    └── Internal             a defect of ours

`services.kit.status` maps them to gRPC and back, and nothing else does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

_REASON = re.compile(r"[A-Z][A-Z0-9_]{2,62}", re.ASCII)


class ArtlabError(Exception):
    """An error with a reason that programs can act on.

    Args:
        reason: UPPER_SNAKE, as in `google.rpc.ErrorInfo.reason`.
        message: for developers, in English, without any user text.
        field: path of the offending field, e.g. ``entity.metadata``.
        retry_after_seconds: when the same call may work.
        metadata: further facts, all strings, without any user text.
    """

    code: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        field: str | None = None,
        retry_after_seconds: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        if _REASON.fullmatch(reason) is None:
            raise ValueError(f"not an error reason: {reason!r}")
        super().__init__(reason, message)
        self.reason = reason
        self.message = message
        self.field = field
        self.retry_after_seconds = retry_after_seconds
        self.metadata = dict(metadata or {})

    def __str__(self) -> str:
        where = f" ({self.field})" if self.field else ""
        return f"{self.reason}{where}: {self.message}"


class InvalidArgument(ArtlabError):
    """A field of the request is wrong, whatever the state."""

    code = "INVALID_ARGUMENT"


class NotFound(ArtlabError):
    """The thing named does not exist."""

    code = "NOT_FOUND"


class AlreadyExists(ArtlabError):
    """The name is taken by something with other content."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(ArtlabError):
    """Not possible in this state; repeating the call does not help."""

    code = "FAILED_PRECONDITION"


class PermissionDenied(ArtlabError):
    """Understood, but not allowed here."""

    code = "PERMISSION_DENIED"


class OutOfRange(ArtlabError):
    """An offset or position past what exists."""

    code = "OUT_OF_RANGE"


class Aborted(ArtlabError):
    """Somebody else was faster."""

    code = "ABORTED"


class ResourceExhausted(ArtlabError):
    """A limit is reached or a disk is full."""

    code = "RESOURCE_EXHAUSTED"


class Unavailable(ArtlabError):
    """A peer is away; the same call may work later."""

    code = "UNAVAILABLE"


class DeadlineExceeded(ArtlabError):
    """The time was over before the work was."""

    code = "DEADLINE_EXCEEDED"


class Cancelled(ArtlabError):
    """Somebody asked to stop."""

    code = "CANCELLED"


class DataLoss(ArtlabError):
    """Stored bytes are not those that were recorded."""

    code = "DATA_LOSS"


class Internal(ArtlabError):
    """A defect of ours."""

    code = "INTERNAL"


BY_CODE: Mapping[str, type[ArtlabError]] = {
    kind.code: kind
    for kind in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        PermissionDenied,
        OutOfRange,
        Aborted,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Cancelled,
        DataLoss,
        Internal,
    )
}
