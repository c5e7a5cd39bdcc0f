"""How a run or an output ends, and what must be true before it may. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.kit.errors import FailedPrecondition
from services.recorder.domain.vocabulary import MediaKind, RunState

DEADLINE_REASON = "RUN_DEADLINE"
# What an output that was still open becomes when its run ends so.
_OUTPUT_STATE_AT_END = {
    RunState.BLOCKED: RunState.BLOCKED,
    RunState.FAILED: RunState.FAILED,
    RunState.CANCELLED: RunState.CANCELLED,
}
_NEED_ERROR = frozenset({RunState.BLOCKED, RunState.FAILED, RunState.NOT_AVAILABLE})


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run or an output ended without success; never holds user text."""

    reason: str
    message: str
    stage: int
    retryable: bool


@dataclass(frozen=True, slots=True)
class Output:
    """One requested output: exactly one result, or the reason there is none."""

    index: int
    config: str
    occurrence: int
    kind: MediaKind
    state: RunState = RunState.PENDING
    error: RunError | None = None


@dataclass(frozen=True, slots=True)
class OutputEnd:
    """How one output ends: its index, its final state and, unless that needs none, why."""

    index: int
    state: RunState
    error: RunError | None


def needs_error(state: RunState) -> bool:
    """Whether this end must give a reason."""
    return state in _NEED_ERROR


def state_at_end(run_state: RunState) -> RunState:
    """What an output still open becomes when its run becomes `run_state`."""
    return _OUTPUT_STATE_AT_END[run_state]


def check_outcome(state: RunState, outputs: Sequence[Output]) -> None:
    """A run may only claim what its outputs show.

    Raises FailedPrecondition OUTPUTS_DISAGREE: SUCCEEDED while an output did not succeed, or
    PARTIAL while one is open or none succeeded.
    """
    states = [output.state for output in outputs]
    agrees = True
    if state is RunState.SUCCEEDED:
        agrees = all(one is RunState.SUCCEEDED for one in states)
    elif state is RunState.PARTIAL:
        agrees = RunState.SUCCEEDED in states and all(one.is_final for one in states)
    if not agrees:
        raise FailedPrecondition(
            "OUTPUTS_DISAGREE", f"the recorded outputs do not add up to {state.value}"
        )
