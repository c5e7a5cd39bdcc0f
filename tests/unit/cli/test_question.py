from __future__ import annotations

import re

import pytest

from services.cli.domain.question import Question, decide_command, question_of

ASKED = {
    "step": "look",
    "kind": "edit",
    "who": "person",
    "text": "Wiese",
    "output_index": 0,
    "deadline": "2026-11-20T18:00:00+00:00",
    "on_timeout": "reject",
}


def test_a_question_about_a_text_may_be_answered_with_another_one() -> None:
    asked = question_of(5, ASKED)
    assert (asked.may_edit, asked.for_teacher, asked.text, asked.about) == (True, False, "Wiese", 0)
    assert asked.headline == "question 5: the run waits for you to look at the text it came to"
    when = r"2026-11-2\d \d\d:\d\d"
    assert re.fullmatch(rf"without an answer by {when} it does not go on", asked.otherwise)


def test_a_question_about_an_output_names_it_and_who_is_asked() -> None:
    more = {"kind": "approve", "who": "teacher", "sequence": 6, "output_index": 2}
    asked = question_of(7, {**ASKED, **more, "text": ""})
    assert (
        asked.headline == "question 7: the run waits for a teacher to look at entity 6 of output 2"
    )
    assert not asked.may_edit


@pytest.mark.parametrize(
    "document",
    [{}, {"kind": 3, "text": None, "sequence": "6", "deadline": 7}, {"sequence": True}],
)
def test_what_is_odd_in_a_document_is_left_out(document: dict[str, object]) -> None:
    asked = question_of(5, document)
    assert asked == Question(5, False, False, "", 0, 0, "", "")
    assert asked.otherwise == ""


def test_the_command_that_answers_can_be_pasted() -> None:
    asked = question_of(5, ASKED)
    run_id = "528e5af9-59b3-4551-b101-27e13dd6e43e"
    told = decide_command(asked, run_id, {"--url": "http://a b", "--user": ""})
    assert told.startswith(f"artlab decide {run_id} 5 approve --url 'http://a b'   (or edit")
    only = decide_command(question_of(5, {**ASKED, "kind": "approve"}), run_id, {})
    assert only == f"artlab decide {run_id} 5 approve   (or reject)"
