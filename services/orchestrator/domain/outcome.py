"""How a run ended, from how its outputs ended. Pure; the truth table is in its test."""

from __future__ import annotations

from collections.abc import Sequence

from services.orchestrator.domain.run import FinalState


def outcome(outputs: Sequence[FinalState]) -> FinalState:
    """Return the final state of a run whose stages 1 and 2 went well.

    All succeeded: succeeded. Some: partial. None, and every one was blocked: blocked, a verdict.
    None otherwise: failed, because at least one of them may work another time.
    """
    if not outputs:
        raise ValueError("a run has at least one output")
    if all(state == "succeeded" for state in outputs):
        return "succeeded"
    if any(state == "succeeded" for state in outputs):
        return "partial"
    if all(state == "cancelled" for state in outputs):
        return "cancelled"
    if all(state == "blocked" for state in outputs):
        return "blocked"
    return "failed"
