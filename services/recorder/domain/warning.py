"""Warnings: what a person should know of a run that goes on all the same. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from services.recorder.domain.events import RunWarning
from services.recorder.domain.run import Run


def warnings_of(run: Run) -> Iterator[RunWarning]:
    """The warnings of a run, in order."""
    for event in run.events:
        if isinstance(event.payload, RunWarning):
            yield event.payload


def with_warning(run: Run, warning: RunWarning, now: datetime) -> Run:
    """The run with this warning; the same run when its output has one of that reason.

    Raises FailedPrecondition RUN_FINAL, InvalidArgument OUTPUT_UNKNOWN, ResourceExhausted
    RUN_TOO_LARGE.
    """
    run.check_output(warning.output_index, "warning.output_index")
    told = {(one.reason, one.output_index) for one in warnings_of(run)}
    if (warning.reason, warning.output_index) in told:
        return run
    run.check_open()
    return run.told(now, warning)
