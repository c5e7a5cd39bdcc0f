"""How a run ended, from how its parts ended. Pure; the truth table is in its test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.orchestrator.domain.run import FinalState, RunError


@dataclass(frozen=True, slots=True)
class End:
    """How a run or one of its outputs ended, and why unless it succeeded."""

    state: FinalState
    error: RunError | None = None


def outcome(
    outputs: Sequence[End], run: End | None = None, cut: Sequence[FinalState] | None = None
) -> End:
    """Return the end of a run.

    Args:
        outputs: as they are recorded, in order, at least one.
        run: how the run itself ended when it did not go through to its end: blocked or failed
            outside of an output, or stopped. None when it did.
        cut: of the outputs that `run` found without an end, how each is recorded now; None when
            nothing was to be cut.

    Without `run`: all succeeded is succeeded, some is partial. None, and every one was blocked, is
    blocked, a verdict. None otherwise is failed, because at least one may work another time.

    With it: the run ends so, except that what was blocked or failed with something made is partial,
    and that outputs which had all ended before, so that only the answer was lost, decide.
    """
    if not outputs:
        raise ValueError("a run has at least one output")
    if run is None or (cut and run.state not in cut):
        return _of_outputs(outputs)
    if run.state in ("blocked", "failed") and _some_succeeded(outputs):
        return End("partial")
    return run


def _of_outputs(outputs: Sequence[End]) -> End:
    states = [output.state for output in outputs]
    if all(state == "succeeded" for state in states):
        return End("succeeded")
    if _some_succeeded(outputs):
        return End("partial")
    if all(state == "cancelled" for state in states):
        return End("cancelled")
    if all(state == "blocked" for state in states):
        return End("blocked", outputs[0].error)
    # The first that failed; one that is not available is a fault as well.
    why = [one.error for one in outputs if one.state in ("failed", "not_available") and one.error]
    return End("failed", why[0] if why else None)


def _some_succeeded(outputs: Sequence[End]) -> bool:
    return any(output.state == "succeeded" for output in outputs)
