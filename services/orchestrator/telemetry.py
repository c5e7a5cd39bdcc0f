"""What steps may tell whoever runs the server: counts and durations by name, as lines of the log.

A name and a label are identifiers, so that nothing a person typed or a model answered gets into a
log by them.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from services.kit.errors import InvalidArgument
from services.kit.log import facts

log = logging.getLogger(__name__)

MAX_LABELS = 8
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_.]{0,63}")

Label = str | int | bool


class Telemetry(Protocol):
    """The service `telemetry` of steps.

    Names and texts of labels are ^[a-z][a-z0-9_.]{0,63}$; else, and for a number that is none,
    InvalidArgument INVALID_TELEMETRY is raised.
    """

    def count(self, name: str, by: int = 1, **labels: Label) -> None:
        """Say that something happened so many times."""
        ...

    def observe(self, name: str, seconds: float, **labels: Label) -> None:
        """Say how long something took."""
        ...


class LoggedTelemetry:
    """Implements Telemetry: a line each, with the run it belongs to."""

    def count(self, name: str, by: int = 1, **labels: Label) -> None:
        """Log ``counted``."""
        _check(name, labels, by)
        log.info("counted", extra=facts(metric=name, count=by, labels=labels))

    def observe(self, name: str, seconds: float, **labels: Label) -> None:
        """Log ``observed``."""
        _check(name, labels, seconds)
        log.info("observed", extra=facts(metric=name, seconds=seconds, labels=labels))


@contextmanager
def observed(
    telemetry: Telemetry, name: str, clock: Callable[[], float], **labels: Label
) -> Iterator[None]:
    """Observe how long the block takes by a clock of seconds, however it ends."""
    began = clock()
    try:
        yield
    finally:
        telemetry.observe(name, clock() - began, **labels)


def _check(name: str, labels: dict[str, Label], number: float) -> None:
    texts = [name, *labels, *(value for value in labels.values() if isinstance(value, str))]
    if (
        all(_IDENTIFIER.fullmatch(text) for text in texts)
        and len(labels) <= MAX_LABELS
        and 0 <= number < math.inf
    ):
        return
    raise InvalidArgument(
        "INVALID_TELEMETRY",
        f"a name and a label are {_IDENTIFIER.pattern}, at most {MAX_LABELS} labels, and a number"
        " is 0 or more",
    )
