"""The truth table of a run's final state."""

from __future__ import annotations

from itertools import permutations

import pytest

from services.orchestrator.domain.outcome import End, outcome
from services.orchestrator.domain.run import FinalState, RunError

# How all outputs ended, and what the run is when it went through to its end.
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

# How all outputs ended, how the run itself did, which outputs that cut, and what the run is.
CUT: list[tuple[tuple[FinalState, ...], FinalState, tuple[FinalState, ...], FinalState]] = [
    (("blocked", "blocked"), "blocked", ("blocked", "blocked"), "blocked"),
    (("failed",), "failed", ("failed",), "failed"),
    (("cancelled",), "cancelled", ("cancelled",), "cancelled"),
    # What it made is kept.
    (("succeeded", "failed"), "failed", ("failed",), "partial"),
    (("succeeded", "blocked"), "blocked", ("blocked",), "partial"),
    # A wish is a wish, whatever was made before.
    (("succeeded", "cancelled"), "cancelled", ("cancelled",), "cancelled"),
    (("blocked", "cancelled"), "cancelled", ("cancelled",), "cancelled"),
    (("blocked", "failed"), "failed", ("failed",), "failed"),
    # All had ended, and only the last answer was lost.
    (("succeeded",), "cancelled", ("succeeded",), "succeeded"),
    (("succeeded", "blocked"), "cancelled", ("blocked",), "partial"),
    (("blocked",), "failed", ("blocked",), "blocked"),
    # A step after the outputs went badly, with nothing left to cut.
    (("succeeded", "succeeded"), "failed", (), "partial"),
    (("succeeded",), "blocked", (), "partial"),
    (("blocked",), "failed", (), "failed"),
]


@pytest.mark.parametrize(("outputs", "expected"), TABLE)
def test_outcome_follows_from_the_outputs_in_any_order(
    outputs: tuple[FinalState, ...], expected: FinalState
) -> None:
    for order in permutations(outputs):
        assert outcome([_end(state) for state in order]).state == expected


@pytest.mark.parametrize(("outputs", "run", "cut", "expected"), CUT)
def test_outcome_of_a_run_that_did_not_go_through_to_its_end(
    outputs: tuple[FinalState, ...],
    run: FinalState,
    cut: tuple[FinalState, ...],
    expected: FinalState,
) -> None:
    for order in permutations(outputs):
        ends = [_end(state) for state in order]
        assert outcome(ends, End(run, _why("RUN")), cut).state == expected


def test_a_run_says_why_as_its_first_output_that_ended_so() -> None:
    blocked, failed = End("blocked", _why("BLOCKED")), End("failed", _why("FAILED"))
    missing = End("not_available", _why("MISSING"))
    assert outcome([blocked, missing, failed]) == End("failed", missing.error)
    assert outcome([blocked, blocked]) == blocked
    assert outcome([End("succeeded"), failed]) == End("partial")


def test_a_run_that_was_ended_says_why_itself() -> None:
    end = End("failed", _why("RUN_DEADLINE"))
    assert outcome([End("failed", _why("OTHER")), end], end, ["failed"]) == end


def test_a_run_without_outputs_has_no_outcome() -> None:
    with pytest.raises(ValueError, match="at least one output"):
        outcome([])


def _end(state: FinalState) -> End:
    return End(state, None if state in ("succeeded", "cancelled") else _why(state.upper()))


def _why(reason: str) -> RunError:
    return RunError(reason, "because", 4)
