"""What a run asks a person: who may answer, what is recorded, and how a file says it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.errors import DataLoss, InvalidArgument, PermissionDenied
from services.orchestrator.domain.question_config import question_config
from services.orchestrator.domain.questions import (
    DECIDERS,
    DEFAULTS,
    KINDS,
    WHO,
    Decision,
    Question,
    decision_document,
    decision_of,
    decision_on,
    question_document,
    question_of,
    require_fits,
    require_may_answer,
)
from services.orchestrator.domain.run import RecordedEntity

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOOK_OVER = Question("look_over", "edit", "person", "Eine Blume", 0, 0, MOMENT, "approve")
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(
    st.builds(
        Question,
        texts,
        st.sampled_from(KINDS),
        st.sampled_from(WHO),
        texts,
        st.just(0),
        st.integers(0, 16),
        st.datetimes(timezones=st.just(UTC)),
        st.sampled_from(DEFAULTS),
    )
)
def test_a_question_is_read_as_it_was_asked(question: Question) -> None:
    assert question_of(question_document(question)) == question
    about_entity = replace(question, text="", sequence=7)
    assert question_of(question_document(about_entity)) == about_entity


@given(
    st.integers(1, 99),
    st.one_of(
        st.tuples(st.just("edit"), texts),
        st.tuples(st.sampled_from(("approve", "reject", "nothing")), st.just("")),
    ),
    st.sampled_from(DECIDERS),
)
def test_a_decision_is_read_as_it_was_made(question: int, said: tuple[str, str], by: str) -> None:
    decision = Decision(question, said[0], said[1], by)  # type: ignore[arg-type]
    assert decision_of(decision_document(decision)) == decision


def test_a_question_says_what_a_page_needs() -> None:
    assert json.loads(question_document(LOOK_OVER)) == {
        "step": "look_over",
        "kind": "edit",
        "who": "person",
        "text": "Eine Blume",
        "output_index": 0,
        "deadline": "2026-03-01T12:00:00+00:00",
        "on_timeout": "approve",
    }


@pytest.mark.parametrize(
    "damage",
    [
        {"kind": "guess"},
        {"who": ""},
        {"deadline": "tomorrow"},
        {"deadline": "2026-03-01T12:00:00"},
        {"output_index": "1"},
        {"mood": "good"},
    ],
)
def test_a_question_that_is_not_understood_is_not_guessed(damage: dict[str, object]) -> None:
    document = json.loads(question_document(LOOK_OVER)) | damage
    with pytest.raises(DataLoss, match="RECORD_NOT_UNDERSTOOD"):
        question_of(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("who", "user_id", "is_teacher", "allowed"),
    [
        ("person", "anna", False, True),
        ("person", "ben", False, False),
        ("person", "teacher-1", True, True),
        ("teacher", "anna", False, False),
        ("teacher", "teacher-1", True, True),
    ],
)
def test_who_may_answer(who: str, user_id: str, is_teacher: bool, allowed: bool) -> None:
    question = replace(LOOK_OVER, who=who)  # type: ignore[arg-type]
    if allowed:
        require_may_answer(question, "anna", user_id, is_teacher=is_teacher)
        return
    with pytest.raises(PermissionDenied) as caught:
        require_may_answer(question, "anna", user_id, is_teacher=is_teacher)
    assert caught.value.reason == "DECISION_NOT_YOURS"


def test_what_is_only_to_be_approved_cannot_be_edited() -> None:
    require_fits(LOOK_OVER, "edit")
    with pytest.raises(InvalidArgument, match="TEXT_NOT_EXPECTED"):
        require_fits(replace(LOOK_OVER, kind="approve"), "edit")


def test_an_answer_is_found_by_its_question() -> None:
    answer = RecordedEntity("decision", "", 5, metadata={"question": "4"})
    others = [
        RecordedEntity("decision", "", 3, metadata={"question": "2"}),
        RecordedEntity("safety", "", 6, metadata={"question": "4"}),
    ]
    assert decision_on([*others, answer], 4) == answer
    assert decision_on(others, 4) is None


def test_without_a_word_a_teachers_silence_is_a_no() -> None:
    asked = question_config({"kind": "approve", "who": "teacher"}, "ask")
    assert (asked.on_timeout, asked.seconds) == ("reject", 24 * 3600)
    assert question_config({"kind": "edit", "who": "teacher"}, "ask").on_timeout == "reject"
    assert question_config({"kind": "approve"}, "ask").on_timeout == "reject"
    assert question_config({"kind": "edit"}, "ask").on_timeout == "approve"


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "kind"),
        ({"kind": "ask"}, "kind"),
        ({"kind": "edit", "who": "parent"}, "who"),
        ({"kind": "edit", "seconds": "60"}, "seconds"),
        ({"kind": "edit", "seconds": True}, "seconds"),
        ({"kind": "edit", "seconds": 0.5}, "seconds"),
        ({"kind": "edit", "seconds": 31 * 24 * 3600}, "seconds"),
        ({"kind": "edit", "on_timeout": "edit"}, "on_timeout"),
        ({"kind": "edit", "minutes": 5}, "minutes"),
    ],
)
def test_a_defect_in_a_file_is_named_with_its_place(config: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        question_config(config, "ask_teacher")
    assert caught.value.reason == "STEP_CONFIG_INVALID"
    assert caught.value.field == f"steps.ask_teacher.config.{field}"
