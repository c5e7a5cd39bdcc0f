"""Work over many things that says in the log how far it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from services.kit.log import facts

log = logging.getLogger(__name__)

T = TypeVar("T")

TELL_SECONDS = 5.0


def told(things: Sequence[T], what: str) -> Iterator[T]:
    """Yield each; log every few seconds how many of how many are done."""
    told_at = time.monotonic()
    for done, thing in enumerate(things):
        if time.monotonic() >= told_at + TELL_SECONDS:
            told_at = time.monotonic()
            log.info(what, extra=facts(done=done, total=len(things)))
        yield thing
