from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from services.kit.defects import CatalogueError, Defect
from services.orchestrator.engine.definition import parse_definition

Document = dict[str, Any]


def good() -> Document:
    return {
        "name": "good",
        "title": {"en": "Good"},
        "steps": [
            {"id": "first", "type": "set", "inputs": {"text": "{{ input.text }}"}},
            {"id": "size", "type": "measure", "inputs": {"value": "{{ steps.first.output.text }}"}},
            {
                "id": "each",
                "type": "for_each_output",
                "config": {
                    "at_once": 2,
                    "body": {
                        "steps": [
                            {"id": "made", "type": "set", "inputs": {"of": "{{ output.config }}"}},
                            {"id": "more", "type": "set"},
                        ]
                    },
                },
            },
        ],
        "flow": {
            "start_at": "first",
            "paths": [
                {"from_step": "first", "to_step": "size"},
                {
                    "from_step": "size",
                    "to_step": "first",
                    "condition": {"less": ["{{ steps.size.output.words }}", 3]},
                    "limit": 2,
                },
                {"from_step": "size", "to_step": "each"},
            ],
        },
    }


def defects_of(document: object) -> list[Defect]:
    with pytest.raises(CatalogueError) as refused:
        parse_definition(document, "good.yaml", {})
    return refused.value.defects


def test_what_the_cases_change_has_no_defect_itself() -> None:
    parse_definition(good(), "good.yaml", {})


def put(*keys: Any) -> Callable[[Document], None]:
    """Set what the last but one says to the last; None removes it."""

    def change(document: Document) -> None:
        place: Any = document
        for key in keys[:-2]:
            place = place[key]
        if keys[-1] is None:
            del place[keys[-2]]
        else:
            place[keys[-2]] = keys[-1]

    return change


def loop_path(document: Document) -> Any:
    return document["flow"]["paths"][1]


CASES: list[tuple[str, Callable[[Document], None], str, str]] = [
    ("no name", put("name", None), "name", "is missing"),
    ("a name no file can have", put("name", "Good!"), "name", "expected 1 to 64 of a-z, 0-9 and _"),
    ("an unknown key", put("stepz", []), "stepz", "no such field here; did you mean steps?"),
    ("no steps", put("steps", None), "steps", "is missing"),
    ("an empty list of steps", put("steps", []), "steps", "the list is empty"),
    (
        "steps that are no list",
        put("steps", {"first": 1}),
        "steps",
        "expected a list, found fields",
    ),
    ("too many steps", put("steps", [{}] * 65), "steps", "65 entries; at most 64"),
    ("a step that is a word", put("steps", 0, "set"), "steps.0", "expected fields"),
    ("a title that is a text", put("title", "Good"), "title", "expected names with values"),
    ("a title in no language", put("title", {"English!": "x"}), "title.English!", "language"),
    ("a title that is empty", put("title", {"en": " "}), "title.en", "1 to 2000 characters"),
    ("no id", put("steps", 0, "id", None), "steps.0.id", "is missing"),
    ("an id with capitals", put("steps", 0, "id", "First"), "steps.0.id", "found First"),
    ("an id that is a number", put("steps", 0, "id", 1), "steps.0.id", "found a number"),
    ("an id twice", put("steps", 1, "id", "first"), "steps.1.id", "is the id of steps.0 already"),
    (
        "an id of a body that is taken outside",
        put("steps", 2, "config", "body", "steps", 0, "id", "size"),
        "steps.2.config.body.steps.0.id",
        "size is the id of steps.1 already",
    ),
    ("no type", put("steps", 0, "type", None), "steps.0.type", "is missing"),
    ("an unknown type", put("steps", 1, "type", "mesure"), "steps.1.type", "did you mean measure?"),
    ("an unknown key of a step", put("steps", 0, "input", {}), "steps.0.input", "mean inputs?"),
    ("config that is a list", put("steps", 0, "config", []), "steps.0.config", "found a list"),
    ("inputs that are a text", put("steps", 0, "inputs", "x"), "steps.0.inputs", "found a text"),
    (
        "a name that is a number",
        put("steps", 0, "inputs", {1: "x"}),
        "steps.0.inputs.1",
        "a name must be a text",
    ),
    (
        "a number that is none",
        put("steps", 0, "inputs", {"x": float("nan")}),
        "steps.0.inputs.x",
        "no number",
    ),
    (
        "half a character",
        put("steps", 0, "inputs", {"x": "\ud800"}),
        "steps.0.inputs.x",
        "half a character",
    ),
    (
        "retry without a number",
        put("steps", 0, "retry", {}),
        "steps.0.retry.attempts",
        "is missing",
    ),
    (
        "too many attempts",
        put("steps", 0, "retry", {"attempts": 11}),
        "steps.0.retry.attempts",
        "from 1 to 10, found 11",
    ),
    (
        "attempts that are yes",
        put("steps", 0, "retry", {"attempts": True}),
        "steps.0.retry.attempts",
        "expected a whole number",
    ),
    (
        "a negative wait",
        put("steps", 0, "retry", {"attempts": 2, "backoff_seconds": -1}),
        "steps.0.retry.backoff_seconds",
        "expected seconds from 0 to 3600, found -1",
    ),
    (
        "the name of a class of errors",
        put("steps", 0, "retry", {"attempts": 2, "on": ["Unavailable"]}),
        "steps.0.retry.on.0",
        "did you mean UNAVAILABLE?",
    ),
    (
        "a wait as a text",
        put("steps", 0, "retry", {"attempts": 2, "max_backoff_seconds": "1s"}),
        "steps.0.retry.max_backoff_seconds",
        "found a text",
    ),
    (
        "no time at all",
        put("steps", 0, "timeout_seconds", 0),
        "steps.0.timeout_seconds",
        "expected seconds from 0.001",
    ),
    (
        "a fallback that is a text",
        put("steps", 0, "fallback", "x"),
        "steps.0.fallback",
        "found a text",
    ),
    (
        "an open brace",
        put("steps", 0, "inputs", "text", "{{ input.text"),
        "steps.0.inputs.text",
        "{{ without }}",
    ),
    (
        "a template that calls",
        put("steps", 0, "inputs", "text", "{{ input.text.upper() }}"),
        "steps.0.inputs.text",
        "neither a place like input.text nor a JSON value",
    ),
    (
        "a template with two words",
        put("steps", 0, "inputs", "text", "{{ input.text input.x }}"),
        "steps.0.inputs.text",
        "is no template",
    ),
    (
        "a root alone",
        put("steps", 0, "inputs", "text", "{{ input }}"),
        "steps.0.inputs.text",
        "say which: input.name",
    ),
    (
        "a root that is not there",
        put("steps", 0, "inputs", "text", "{{ inputs.text }}"),
        "steps.0.inputs.text",
        "did you mean input?",
    ),
    (
        "a step that is not there",
        put("steps", 1, "inputs", "value", "{{ steps.frist.output.text }}"),
        "steps.1.inputs.value",
        "there is no step frist; did you mean first?",
    ),
    (
        "a value that the step does not give",
        put("steps", 1, "inputs", "value", "{{ steps.first.output.txt }}"),
        "steps.1.inputs.value",
        "step first gives no txt; did you mean text?",
    ),
    (
        "something that no step has",
        put("steps", 1, "inputs", "value", "{{ steps.first.outputs.text }}"),
        "steps.1.inputs.value",
        "did you mean output?",
    ),
    (
        "a step that comes later in the loop",
        put("steps", 0, "inputs", "text", "{{ steps.size.output.words }}"),
        "steps.0.inputs.text",
        "step size comes later in this loop",
    ),
    (
        "a step that comes after",
        put("steps", 0, "inputs", "text", "{{ steps.each.output.succeeded ?? 1 }}"),
        "steps.0.inputs.text",
        "step each does not come before this",
    ),
    (
        "an inner step from outside",
        put("steps", 1, "inputs", "value", "{{ steps.made.output.of }}"),
        "steps.1.inputs.value",
        "step made does not come before this",
    ),
    (
        "an output where there is none",
        put("steps", 0, "inputs", "text", "{{ output.config }}"),
        "steps.0.inputs.text",
        "only in the body of a for_each_output",
    ),
    (
        "an input that the type does not take",
        put("steps", 1, "inputs", "valeu", 1),
        "steps.1.inputs.valeu",
        "did you mean value?",
    ),
    (
        "a body that is missing",
        put("steps", 2, "config", "body", None),
        "steps.2.config.body",
        "what to do for each output",
    ),
    (
        "none at once",
        put("steps", 2, "config", "at_once", 0),
        "steps.2.config.at_once",
        "from 1 to 16",
    ),
    (
        "an unknown key of for_each_output",
        put("steps", 2, "config", "at_onec", 1),
        "steps.2.config.at_onec",
        "did you mean at_once?",
    ),
    (
        "a body within a body",
        put("steps", 2, "config", "body", "steps", 0, "type", "for_each_output"),
        "steps.2.config.body.steps.0.type",
        "cannot be within another one",
    ),
    (
        "a retry of everything",
        put("steps", 2, "retry", {"attempts": 2}),
        "steps.2.retry",
        "belongs to the steps of the body",
    ),
    ("an unknown key of the flow", put("flow", "start", "first"), "flow.start", "mean start_at?"),
    ("a start that is not there", put("flow", "start_at", "frist"), "flow.start_at", "mean first?"),
    ("a start twice", put("flow", "start_at", ["first", "first"]), "flow.start_at", "a step twice"),
    (
        "a start that waits for another step",
        put("flow", "start_at", ["first", "size"]),
        "flow.start_at",
        "size cannot start: it waits for first",
    ),
    (
        "a path from nowhere",
        put("flow", "paths", 0, "from_step", "frist"),
        "flow.paths.0.from_step",
        "there is no step frist; did you mean first?",
    ),
    (
        "a path into a body",
        put("flow", "paths", 2, "to_step", "made"),
        "flow.paths.2.to_step",
        "not among these: a body has paths of its own",
    ),
    (
        "a path without an end",
        put("flow", "paths", 0, "to_step", None),
        "flow.paths.0.to_step",
        "is missing",
    ),
    (
        "an unknown key of a path",
        put("flow", "paths", 0, "when", "always"),
        "flow.paths.0.when",
        "no such field",
    ),
    (
        "a path twice",
        lambda document: document["flow"]["paths"].append(
            {"from_step": "first", "to_step": "size"}
        ),
        "flow.paths.3",
        "is there twice",
    ),
    (
        "a circle without a limit",
        lambda document: loop_path(document).pop("limit"),
        "flow.paths.1",
        "first → size → first goes round without end; give this path a limit",
    ),
    ("no turn at all", put("flow", "paths", 1, "limit", 0), "flow.paths.1.limit", "from 1 to 100"),
    (
        "a limit on a path that leads on",
        put("flow", "paths", 2, "limit", 3),
        "flow.paths.2.limit",
        "each does not come before size",
    ),
    (
        "a step that nothing leads to",
        lambda document: document["steps"].append({"id": "alone", "type": "set"}),
        "steps.3",
        "no path leads to alone",
    ),
    (
        "a way out of the middle of a loop",
        lambda document: document["flow"]["paths"].append(
            {"from_step": "first", "to_step": "each"}
        ),
        "flow.paths.1",
        "first → each leads out of this loop; only size may",
    ),
    (
        "outputs in a loop",
        lambda document: document["flow"]["paths"].append(
            {"from_step": "each", "to_step": "first", "limit": 1}
        ),
        "flow.paths.3",
        "each cannot be in a loop",
    ),
    (
        "a condition that is not there",
        put("flow", "paths", 0, "condition", {"equal": [1, 1]}),
        "flow.paths.0.condition.equal",
        "did you mean equals?",
    ),
    (
        "two conditions at once",
        put("flow", "paths", 0, "condition", {"equals": [1, 1], "less": [1, 2]}),
        "flow.paths.0.condition",
        "write several as all: or any:",
    ),
    (
        "an outcome as a word",
        put("flow", "paths", 0, "condition", "blocked"),
        "flow.paths.0.condition",
        "did you mean outcome: blocked?",
    ),
    (
        "an outcome that is none",
        put("flow", "paths", 0, "condition", {"outcome": "success"}),
        "flow.paths.0.condition.outcome",
        "did you mean succeeded?",
    ),
    (
        "one value beside nothing",
        put("flow", "paths", 0, "condition", {"equals": [1]}),
        "flow.paths.0.condition.equals",
        "expected a list of two values, found 1 values",
    ),
    (
        "existence of a text",
        put("flow", "paths", 0, "condition", {"exists": "input.text"}),
        "flow.paths.0.condition.exists",
        "expected one template",
    ),
    (
        "a pattern that is none",
        put("flow", "paths", 0, "condition", {"matches": ["{{ input.text }}", "(a"]}),
        "flow.paths.0.condition.matches.1",
        "no regular expression",
    ),
    (
        "a pattern that refers to a group",
        put("flow", "paths", 0, "condition", {"matches": ["{{ input.text }}", r"(a)\1"]}),
        "flow.paths.0.condition.matches.1",
        "cannot be used here",
    ),
    (
        "a condition within all that is wrong",
        put("flow", "paths", 0, "condition", {"all": ["always", {"not": {"like": 1}}]}),
        "flow.paths.0.condition.all.1.not.like",
        "no such condition",
    ),
    (
        "nothing of which any holds",
        put("flow", "paths", 0, "condition", {"any": []}),
        "flow.paths.0.condition.any",
        "the list is empty",
    ),
    (
        "a condition about what comes later",
        put("flow", "paths", 0, "condition", {"exists": "{{ steps.each.output.failed }}"}),
        "flow.paths.0.condition",
        "step each does not come before this",
    ),
]


@pytest.mark.parametrize(
    ("change", "field", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_every_defect_names_its_field_and_says_what_to_do(
    change: Callable[[Document], None], field: str, reason: str
) -> None:
    document = copy.deepcopy(good())
    change(document)
    found = {defect.field: defect.reason for defect in defects_of(document)}
    assert field in found, found
    assert reason in found[field]


def test_all_defects_are_told_at_once_each_with_the_name_of_the_file() -> None:
    document = good()
    document["steps"][0]["id"] = "X"
    document["steps"][1]["type"] = "mesure"
    document["flow"]["paths"][2]["condition"] = {"outcome": "fine"}
    found = defects_of(document)
    assert {defect.file for defect in found} == {"good.yaml"}
    fields = {defect.field for defect in found}
    assert {"steps.0.id", "steps.1.type", "flow.paths.2.condition.outcome"} <= fields


@pytest.mark.parametrize("document", [None, [], "a text", 3])
def test_what_is_no_document_is_refused(document: object) -> None:
    assert "expected fields" in defects_of(document)[0].reason


def test_loops_that_multiply_past_all_patience_are_refused() -> None:
    steps = [{"id": name, "type": "set"} for name in "abc"]
    paths = [
        {"from_step": "a", "to_step": "b"},
        {"from_step": "b", "to_step": "c"},
        {"from_step": "b", "to_step": "b", "limit": 100},
        {"from_step": "c", "to_step": "a", "limit": 100},
    ]
    found = defects_of({"name": "x", "steps": steps, "flow": {"paths": paths}})
    assert [defect.field for defect in found] == ["steps.1"]
    assert "10201 times" in found[0].reason


def test_a_way_into_the_middle_of_a_loop_is_refused() -> None:
    steps = [{"id": name, "type": "set"} for name in "abcd"]
    paths = [
        {"from_step": "a", "to_step": "b"},
        {"from_step": "b", "to_step": "c"},
        {"from_step": "c", "to_step": "b", "limit": 1},
        {"from_step": "a", "to_step": "d"},
        {"from_step": "d", "to_step": "c"},
    ]
    found = defects_of({"name": "x", "steps": steps, "flow": {"paths": paths}})
    assert [(defect.field, defect.reason) for defect in found] == [
        ("flow.paths.2", "d → c leads into this loop; that must go to b")
    ]
