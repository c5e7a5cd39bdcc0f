"""Which text, verdict and bytes a run gives away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.outcome import (
    Block,
    block_entity,
    edited_text,
    later_decisions,
    output_results,
    read_block,
    text_entity,
)
from services.gateway.domain.run import Entity, Fault, Output, Run, client_status
from services.gateway.domain.selection import by_sequence, is_released, latest
from services.kit.errors import NotFound
from services.kit.ids import RunId

ID = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")


def entity(sequence: int, type: str, **fields: object) -> Entity:
    values: dict[str, object] = {"filename": "x", "media_type": "text/plain", "size_bytes": 1}
    return Entity(sequence, type, sha256="0" * 64, **(values | fields))  # type: ignore[arg-type]


def run(state: str, *entities: Entity, **fields: object) -> Run:
    return Run(ID, state, "dada", entities=entities, **fields)  # type: ignore[arg-type]


DRAWN = Output(1, 1, "builtin_image", "image", "succeeded")
FAILED = Output(1, 1, "builtin_image", "image", "failed")


def test_the_text_is_the_interception_else_the_translation() -> None:
    translation, written = entity(1, "translation"), entity(3, "interception")
    assert text_entity(run("succeeded", translation, written, outputs=(DRAWN,))) == written
    assert text_entity(run("failed", translation, outputs=(FAILED,))) == translation
    assert text_entity(run("failed", entity(1, "input"), outputs=(FAILED,))) is None


def test_a_text_that_was_not_checked_is_not_handed_out() -> None:
    translation, one_pass = entity(1, "translation"), entity(2, "interception_pass", pass_number=1)
    written = entity(3, "interception")
    for state in ("failed", "cancelled"):
        ended = (Output(1, 1, "builtin_image", "image", state),)
        assert text_entity(run(state, translation, one_pass, outputs=ended)) == translation
        assert text_entity(run(state, one_pass, written, outputs=ended)) is None
        checked = entity(4, "safety_pre_output", output_index=1)
        assert text_entity(run(state, one_pass, written, checked, outputs=ended)) == written


def test_blocked_text_is_not_handed_out() -> None:
    text = entity(1, "interception")
    said = Output(1, 1, "builtin_text", "text", "blocked")
    seen = Output(1, 1, "builtin_image", "image", "blocked")
    drawn = Output(2, 1, "builtin_image", "image", "succeeded")
    for made in (
        run("blocked", text, outputs=(seen,)),
        run("partial", text, outputs=(said, drawn)),
        run("failed", text, outputs=(seen, Output(2, 1, "a", "image", "failed"))),
    ):
        assert text_entity(made) is None
        assert not is_released(made, text)
        assert not is_released(made, entity(2, "interception_pass"))
        assert is_released(made, entity(3, "input"))
        with pytest.raises(NotFound, match="ENTITY_WITHHELD"):
            latest(made, "interception", None, None)
    allowed = run("partial", text, outputs=(seen, drawn))
    assert text_entity(allowed) == text
    assert is_released(allowed, text)


def test_the_verdict_of_a_run_is_the_one_of_its_stage() -> None:
    first = entity(1, "safety", stage=1)
    between = entity(2, "safety", stage=2)
    before = entity(3, "safety_pre_output", stage=3, output_index=1)
    for stage, found in ((1, first), (2, between), (3, before), (4, None)):
        error = Fault("SAFETY_BLOCKED", "kids.x", stage)
        assert block_entity(run("blocked", first, between, before, error=error)) == found


def test_the_verdict_of_an_output_is_its_own() -> None:
    one = entity(1, "safety_pre_output", stage=3, output_index=1)
    two = entity(2, "safety_pre_output", stage=3, output_index=2)
    image = entity(3, "safety_output", stage=4, output_index=2)
    made = run("partial", one, two, image)
    assert block_entity(made, Output(1, 1, "a", "image", "blocked")) == one
    assert block_entity(made, Output(2, 1, "a", "image", "blocked")) == image
    assert block_entity(made, Output(3, 1, "a", "image", "blocked")) is None


def test_an_explanation_goes_before_the_verdict_it_explains() -> None:
    verdict = entity(2, "safety", stage=1)
    explanation = entity(3, "explanation", stage=1)
    error = Fault("SAFETY_BLOCKED", "kids.x", 1)
    assert block_entity(run("blocked", explanation, verdict, error=error)) == explanation
    # To whom verdicts are not shown, the explanation is.
    assert block_entity(run("blocked", explanation, error=error)) == explanation

    one = entity(4, "explanation", stage=3, output_index=1)
    two = entity(6, "safety_pre_output", stage=3, output_index=2)
    made = run("partial", one, two)
    assert block_entity(made, Output(1, 1, "a", "image", "blocked")) == one
    assert block_entity(made, Output(2, 1, "a", "image", "blocked")) == two


def test_an_output_that_failed_in_stage_4_had_its_text_checked() -> None:
    text = entity(1, "interception")
    for stage, shown in ((4, text), (3, None), (0, None)):
        fault = Fault("COMFY_LOST", "", stage)
        made = run("failed", text, outputs=(Output(1, 1, "a", "image", "failed", fault),))
        assert text_entity(made) == shown


def test_a_block_never_carries_the_terms() -> None:
    document = b'{"rule": "r", "explanation": "e", "suggestion": "s", "terms": ["t"], "stage": 9}'
    assert read_block(document, 1) == Block(1, "r", "e", "s")


@given(st.binary(max_size=80))
def test_a_damaged_verdict_tells_nothing(document: bytes) -> None:
    assert read_block(document, 3).stage == 3
    assert read_block(b'{"rule": {"x": 1}, "explanation": 3}', 3) == Block(3, "", "", "")
    assert read_block(b"[1]", 3) == Block(3, "", "", "")


@pytest.mark.parametrize("state", ["pending", "running", "blocked", "failed", "cancelled", ""])
def test_bytes_of_an_output_leave_only_after_success(state: str) -> None:
    picture = entity(1, "output_image", output_index=1)
    held = run("running", picture, outputs=(Output(1, 1, "a", "image", state),))
    assert not is_released(held, picture)
    with pytest.raises(NotFound, match="ENTITY_WITHHELD"):
        by_sequence(held, 1)
    for output_index in (None, 1):
        with pytest.raises(NotFound, match="ENTITY_WITHHELD"):
            latest(held, "output_image", output_index, None)
    assert output_results(held, {})[0].entities == ()


def test_bytes_of_an_output_nobody_planned_never_leave() -> None:
    stray = entity(1, "output_image", output_index=7)
    with pytest.raises(NotFound, match="ENTITY_WITHHELD"):
        by_sequence(run("succeeded", stray), 1)


def test_a_withheld_output_does_not_hide_an_older_one() -> None:
    outputs = (Output(1, 1, "a", "image", "succeeded"), Output(2, 2, "a", "image", "blocked"))
    first = entity(1, "output_image", output_index=1)
    second = entity(2, "output_image", output_index=2)
    assert (
        latest(run("partial", first, second, outputs=outputs), "output_image", None, None) == first
    )


def test_clients_hear_success_and_error() -> None:
    assert client_status("succeeded") == "success"
    assert client_status("failed") == "error"
    for same in ("partial", "blocked", "cancelled", "running", "not_available"):
        assert client_status(same) == same


def test_what_people_said_of_the_text_is_found_newest_first() -> None:
    text = entity(3, "interception")
    earlier, of_one = entity(2, "decision"), entity(6, "decision", output_index=1)
    first, second = entity(5, "decision"), entity(8, "decision")
    made = run("succeeded", earlier, text, first, of_one, second, outputs=(DRAWN,))
    assert later_decisions(made, text) == (second, first)
    assert later_decisions(run("blocked", text, first, outputs=(FAILED,)), text) == ()


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (b'{"decision": "edit", "text": "Baum"}', "Baum"),
        (b'{"decision": "approve", "text": "Baum"}', None),
        (b'{"decision": "edit", "text": 3}', None),
        (b"[]", None),
        (b"{", None),
    ],
)
def test_only_an_edit_puts_another_text_in_place(document: bytes, text: str | None) -> None:
    assert edited_text(document) == text


def test_an_output_that_waits_for_a_teacher_is_released_to_teachers_only() -> None:
    picture, question = (
        entity(4, "output_image", output_index=1),
        entity(6, "question", output_index=1),
    )
    waiting = Output(1, 1, "builtin_image", "image", "running")
    asked = run("running", picture, question, outputs=(waiting,), open_questions=(6,))
    assert is_released(asked, picture, is_teacher=True)
    assert not is_released(asked, picture)
    # Of another output, before its checks, or answered.
    for other in (
        run("running", picture, entity(6, "question", output_index=2), open_questions=(6,)),
        run("running", entity(3, "question", output_index=1), picture, open_questions=(3,)),
        run("running", picture, question, outputs=(waiting,)),
    ):
        assert not is_released(other, picture, is_teacher=True)
