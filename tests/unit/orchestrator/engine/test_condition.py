from __future__ import annotations

from typing import Any

import pytest

from services.kit.errors import FailedPrecondition
from services.orchestrator.engine.condition import Ended, holds
from services.orchestrator.engine.condition_parser import parse_condition
from services.orchestrator.engine.reader import Reader

KNOWN: dict[str, Any] = {
    "input": {"text": "Eine Blume", "none": None, "empty": ""},
    "plan": {"seed": 7, "pause": True, "outputs": [{"index": 1}]},
    "steps": {"ask": {"output": {"decision": "approve", "score": 0.5}, "status": "succeeded"}},
}


def told(condition: object, state: Ended = "succeeded") -> bool:
    reader = Reader("test.yaml")
    parsed = parse_condition(reader, condition, "condition")
    assert not reader.defects, reader.defects
    return holds(parsed, state, KNOWN)


TRUE: list[Any] = [
    "always",
    {"outcome": "succeeded"},
    {"equals": ["{{ input.text }}", "Eine Blume"]},
    {"equals": ["{{ plan.seed }}", 7.0]},
    {"equals": [{"a": [1, 2]}, {"a": [1, 2]}]},
    {"not_equals": [True, 1]},
    {"not_equals": ["{{ plan.seed }}", "7"]},
    {"greater": ["{{ plan.seed }}", 6]},
    {"greater": ["b", "a"]},
    {"greater_or_equal": [7, "{{ plan.seed }}"]},
    {"less": ["{{ steps.ask.output.score }}", 1]},
    {"less_or_equal": ["{{ steps.ask.output.score }}", 0.5]},
    {"in": ["{{ steps.ask.output.decision }}", ["approve", "edit"]]},
    {"in": ["Blume", "{{ input.text }}"]},
    {"matches": ["{{ input.text }}", "(?i)^eine\\s"]},
    {"exists": "{{ input.text }}"},
    {"exists": "{{ input.empty }}"},
    {"exists": "{{ input.nothing ?? plan.seed }}"},
    {"all": ["always", {"equals": [1, 1]}]},
    {"any": [{"equals": [1, 2]}, {"equals": [1, 1]}]},
    {"not": {"equals": [1, 2]}},
    {"all": [{"not": {"exists": "{{ input.x }}"}}, {"equals": ["{{ input.x ?? 1 }}", 1]}]},
    # Looked at only as far as needed: nothing asks for what is not there.
    {"any": ["always", {"equals": ["{{ input.x }}", 1]}]},
]

FALSE: list[Any] = [
    {"outcome": "blocked"},
    {"outcome": "failed"},
    {"equals": ["{{ input.text }}", "eine blume"]},
    {"equals": ["{{ plan.pause }}", 1]},
    {"not_equals": ["{{ plan.seed }}", 7]},
    {"greater": ["{{ plan.seed }}", 7]},
    {"greater_or_equal": [6, "{{ plan.seed }}"]},
    {"less": [7, "{{ plan.seed }}"]},
    {"less_or_equal": ["b", "a"]},
    {"in": [True, [1, 2]]},
    {"in": ["blume", "{{ input.text }}"]},
    {"matches": ["{{ input.text }}", "^Blume"]},
    {"exists": "{{ input.nothing }}"},
    {"exists": "{{ input.none }}"},
    {"exists": "{{ steps.other.output.text }}"},
    {"exists": "{{ plan.outputs.1.index }}"},
    {"all": ["always", {"equals": [1, 2]}]},
    {"any": [{"equals": [1, 2]}, {"equals": [2, 1]}]},
    {"not": "always"},
]


@pytest.mark.parametrize("condition", TRUE, ids=str)
def test_it_holds(condition: object) -> None:
    assert told(condition)


@pytest.mark.parametrize("condition", FALSE, ids=str)
def test_it_does_not_hold(condition: object) -> None:
    assert not told(condition)


@pytest.mark.parametrize("state", ["blocked", "failed"])
def test_after_an_end_that_is_no_success_only_what_speaks_of_outcomes_holds(state: Ended) -> None:
    assert told("always", state)
    assert told({"outcome": state}, state)
    assert told({"all": [{"outcome": state}, {"equals": [1, 1]}]}, state)
    assert told({"not": {"outcome": "succeeded"}}, state)
    assert not told({"equals": [1, 1]}, state)
    assert not told({"not": {"equals": [1, 2]}}, state)
    assert not told({"outcome": "succeeded"}, state)


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ({"equals": ["{{ input.x }}", 1]}, "TEMPLATE_VALUE_MISSING"),
        ({"less": ["{{ plan.outputs.3.index }}", 1]}, "TEMPLATE_VALUE_MISSING"),
        ({"less": ["a", 1]}, "CONDITION_VALUES_UNFIT"),
        ({"greater": [True, 0]}, "CONDITION_VALUES_UNFIT"),
        ({"greater": ["{{ input.none }}", 0]}, "CONDITION_VALUES_UNFIT"),
        ({"in": [1, 2]}, "CONDITION_VALUES_UNFIT"),
        ({"in": [1, "text"]}, "CONDITION_VALUES_UNFIT"),
        ({"matches": ["{{ plan.seed }}", "7"]}, "CONDITION_VALUES_UNFIT"),
    ],
)
def test_what_cannot_be_told_is_an_error_and_never_silently_false(
    condition: object, reason: str
) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        told(condition)
    assert refused.value.reason == reason
    assert "Blume" not in refused.value.message
