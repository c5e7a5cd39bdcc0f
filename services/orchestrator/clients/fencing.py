"""How a refused epoch reaches who drives the run: as the end of driving, not as a fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.kit.errors import FailedPrecondition
from services.kit.status import remote_errors
from services.orchestrator.claims import ClaimLost

FENCED = "FENCED"


@contextmanager
def fenced_errors(service: str) -> Iterator[None]:
    """Like `remote_errors`; raise ClaimLost for what is refused for its epoch."""
    try:
        with remote_errors(service):
            yield
    except FailedPrecondition as error:
        if error.reason != FENCED:
            raise
        raise ClaimLost(error.message) from error
