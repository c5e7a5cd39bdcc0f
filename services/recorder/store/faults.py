"""Errors of the operating system as errors of the domain."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from services.kit.errors import ArtlabError, Internal, ResourceExhausted
from services.recorder.store.atomic import UnsureError

RETRY_WHEN_FULL_SECONDS = 30.0
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn OSError inside into ResourceExhausted STORAGE_FULL or Internal STORAGE_ERROR."""
    try:
        yield
    except OSError as error:
        raise storage_error(error) from error


def storage_error(error: OSError) -> ArtlabError:
    """What this error of the medium means to a client."""
    name = errno.errorcode.get(error.errno or 0, "UNKNOWN")
    # "Full" promises that nothing happened, which an unsure write cannot.
    if is_full(error) and not isinstance(error, UnsureError):
        return storage_full(name)
    return Internal("STORAGE_ERROR", f"the disk answered {name}", metadata={"errno": name})


def storage_full(errno_name: str = "ENOSPC") -> ResourceExhausted:
    """What is said where there is no room; it promises that nothing happened."""
    return ResourceExhausted(
        "STORAGE_FULL",
        "the disk is full",
        retry_after_seconds=RETRY_WHEN_FULL_SECONDS,
        metadata={"errno": errno_name},
    )


def is_full(error: OSError) -> bool:
    """Whether there was no room."""
    return error.errno in _FULL
