"""The truth table of a run's final state."""

from __future__ import annotations

from itertools import permutations

import pytest

from services.orchestrator.domain.outcome import outcome
from services.orchestrator.domain.run import FinalState

TABLE: list[tuple[tuple[FinalState, ...], FinalState]] = [
    (("succeeded",), "succeeded"),
    (("blocked",), "blocked"),
    (("failed",), "failed"),
    (("not_available",), "failed"),
    (("cancelled",), "cancelled"),
    (("succeeded", "succeeded"), "succeeded"),
    (("succeeded", "blocked"), "partial"),
    (("succeeded", "failed"), "partial"),
    (("succeeded", "not_available"), "partial"),
    (("succeeded", "cancelled"), "partial"),
    (("blocked", "blocked"), "blocked"),
    (("blocked", "failed"), "failed"),
    (("blocked", "not_available"), "failed"),
    (("failed", "not_available"), "failed"),
    (("cancelled", "cancelled"), "cancelled"),
    (("cancelled", "failed"), "failed"),
    (("succeeded", "blocked", "failed"), "partial"),
]


@pytest.mark.parametrize(("outputs", "expected"), TABLE)
def test_outcome_follows_from_the_outputs_in_any_order(
    outputs: tuple[FinalState, ...], expected: FinalState
) -> None:
    for order in permutations(outputs):
        assert outcome(order) == expected


def test_a_run_without_outputs_has_no_outcome() -> None:
    with pytest.raises(ValueError, match="at least one output"):
        outcome([])
