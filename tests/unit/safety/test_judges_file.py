"""What the policy may say about judges, and about what a model's codes mean."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from services.kit.catalogue import Defect
from services.safety.policy_file import build_policy
from services.safety.schema import PolicyFile
from tests.unit.safety.support import FOLDER, read

POLICY = read(FOLDER / "policy.yaml")


def defects(how: Callable[[Any], object]) -> list[str]:
    document = copy.deepcopy(POLICY)
    how(document)
    found: list[Defect] = []
    build_policy(PolicyFile.model_validate(document), found)
    return [str(defect) for defect in found]


def judge_of(document: Any, row: int) -> Any:
    (found,) = [check for check in document["rows"][row]["checks"] if check["check"] == "judge"]
    return found


def require_of_adults(document: Any) -> None:
    for row in (2, 3):
        judge_of(document, row)["judges"] = ["builtin", "language_model"]


def builtin_for_kids(document: Any) -> None:
    for row in (0, 1):
        judge_of(document, row)["on_failure"] = "builtin"


def lists_for_nobody(document: Any) -> None:
    document["rows"][0]["checks"][0]["on_failure"] = "builtin"


def judged_lists(document: Any) -> None:
    document["rows"][0]["checks"][0]["judges"] = ["builtin"]


def personal_for_researchers(document: Any) -> None:
    document["rows"][4]["checks"].append(
        {"check": "personal_data", "on_hit": "continue", "on_failure": "error"}
    )


def required_and_done_without(document: Any) -> None:
    for row in range(5):
        judge = judge_of(document, row)
        judge.update(judges=["builtin", "language_model"], on_failure="builtin")


WRONG: list[tuple[Callable[[Any], object], str]] = [
    (lambda d: judge_of(d, 0).update(judges=["oracle"]), "unknown judge oracle"),
    (lambda d: judge_of(d, 0).update(judges=[]), "the judges must include builtin"),
    (
        lambda d: judge_of(d, 0).update(judges=["language_model"]),
        "the judges must include builtin",
    ),
    (lambda d: judge_of(d, 0).update(judges=["builtin", "builtin"]), "a judge is named twice"),
    (lists_for_nobody, "a wordlist that fails is an error"),
    (judged_lists, "wordlist is no judge and has none"),
    (require_of_adults, "asks no language_model at youth for input, and adult does"),
    (builtin_for_kids, "does without a judge that is away at youth for input, and adult does not"),
    (personal_for_researchers, "no personal_data at adult for input, and research has it"),
    (required_and_done_without, "cannot be required and be done without"),
    (
        lambda d: d["language_model"]["categories"].update(cats="all about cats"),
        "language_model.categories: unknown category cats",
    ),
    (
        lambda d: d["language_model"]["llama_guard"]["S1"].update(category="cats"),
        "unknown category cats for S1",
    ),
    (
        lambda d: d["language_model"]["unknown"].update(severity=1),
        "a code nobody knows would pass at research",
    ),
]


@pytest.mark.parametrize(("how", "reason"), WRONG)
def test_a_policy_whose_judges_would_let_things_pass_is_refused(
    how: Callable[[Any], object], reason: str
) -> None:
    assert any(reason in found for found in defects(how)), defects(how)


def every_row(document: Any, **changes: Any) -> None:
    for row in range(5):
        judge_of(document, row).update(changes)


@pytest.mark.parametrize(
    "how",
    [
        lambda d: None,
        lambda d: every_row(d, judges=["builtin", "language_model"]),
        lambda d: every_row(d, on_failure="builtin"),
        # Stricter for the young.
        lambda d: [judge_of(d, row).update(judges=["language_model", "builtin"]) for row in (0, 1)],
        lambda d: judge_of(d, 4).update(on_failure="builtin"),
    ],
)
def test_what_stricter_levels_ask_more_of_is_in_order(how: Callable[[Any], object]) -> None:
    assert defects(how) == []
