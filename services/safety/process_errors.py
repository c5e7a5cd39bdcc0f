"""What a limited process of this service failed at, in the words of whoever asked it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.kit.errors import ArtlabError, ResourceExhausted
from services.kit.limited_child import LimitedProcessError, Why

BUSY_RETRY_SECONDS = 5.0


@contextmanager
def process_errors(meaning: Callable[[LimitedProcessError], ArtlabError]) -> Iterator[None]:
    """Raise ResourceExhausted SAFETY_BUSY when too many wait for it, else what it means."""
    try:
        yield
    except LimitedProcessError as error:
        if error.why is Why.BUSY:
            raise ResourceExhausted(
                "SAFETY_BUSY", "too many pictures at once", retry_after_seconds=BUSY_RETRY_SECONDS
            ) from error
        raise meaning(error) from error
