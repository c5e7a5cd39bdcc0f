"""Deadlines that travel: a call made while serving a call gets what is left, less a margin."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token

from services.kit.errors import DeadlineExceeded

# What a server keeps for itself to answer after its own call ran out of time.
MARGIN_SECONDS = 0.5

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline_in(seconds: float) -> Iterator[None]:
    """Everything inside has this many seconds, or fewer where less was left already."""
    mine = time.monotonic() + seconds
    outer = _deadline.get()
    token = _deadline.set(mine if outer is None else min(mine, outer))
    try:
        yield
    finally:
        _reset(token)


@contextmanager
def no_deadline() -> Iterator[None]:
    """For work that outlives the call that began it, such as a run."""
    token = _deadline.set(None)
    try:
        yield
    finally:
        _reset(token)


def _reset(token: Token[float | None]) -> None:
    # A stream whose client left is closed by the garbage collector, in another context, where
    # there is nothing to take back.
    with suppress(ValueError):
        _deadline.reset(token)


def budget(cap_seconds: float) -> float:
    """Seconds a call made now may take: the smaller of its own cap and what is left.

    Raises DeadlineExceeded NO_TIME_LEFT when nothing is left.
    """
    deadline = _deadline.get()
    if deadline is None:
        return cap_seconds
    left = deadline - time.monotonic() - MARGIN_SECONDS
    if left <= 0:
        raise DeadlineExceeded("NO_TIME_LEFT", "no time left to ask another service")
    return min(cap_seconds, left)
