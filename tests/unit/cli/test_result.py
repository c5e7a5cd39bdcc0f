from __future__ import annotations

from collections.abc import Mapping

import pytest

from services.cli.domain.exit_codes import exit_code_of
from services.cli.domain.printable import printable
from services.cli.domain.result import RunResult, SeenEntity, summarize

BLOCKED: Mapping[str, object] = {
    "stage": 1,
    "decision": "blocked",
    "rule": "kids.violence",
    "terms": ["knife"],
    "explanation": "Das ist zu gewaltsam.",
    "suggestion": "Beschreibe etwas Friedliches.",
}


def result_of(document: Mapping[str, object], *seen: SeenEntity) -> RunResult:
    return summarize("r1", document, seen, lambda sequence: f"http://here/{sequence}")


def test_a_succeeded_run_has_its_text_and_a_url_for_each_output() -> None:
    result = result_of(
        {
            "status": "succeeded",
            "config_name": "dada",
            "outputs": [{"index": 1, "config": "builtin_image", "status": "succeeded"}],
        },
        SeenEntity(4, "interception", content="Blume Wiese"),
        SeenEntity(6, "output_image", "06_output_image.png", "image/png", 9, output_index=1),
    )
    assert (result.status, result.final_output) == ("succeeded", "Blume Wiese")
    assert result.outputs[0].url == "http://here/6"
    assert result.outputs[0].media_type == "image/png"


def test_a_blocked_run_tells_why_and_hands_out_no_text() -> None:
    result = result_of(
        {"status": "blocked", "outputs": [{"index": 1, "config": "x", "status": "blocked"}]},
        SeenEntity(3, "interception", content="text"),
        SeenEntity(4, "safety_pre_output", document=BLOCKED),
    )
    assert result.final_output == ""
    assert result.outputs[0].url == ""
    assert [block.rule for block in result.blocks] == ["kids.violence"]
    assert result.blocks[0].explanation == "Das ist zu gewaltsam."


def test_the_terms_of_a_block_are_not_in_the_result() -> None:
    result = result_of({"status": "blocked"}, SeenEntity(2, "safety", document=BLOCKED))
    assert "knife" not in str(result.as_json())


def test_an_output_that_was_made_and_then_blocked_has_no_url() -> None:
    result = result_of(
        {"status": "blocked", "outputs": [{"index": 1, "config": "x", "status": "blocked"}]},
        SeenEntity(6, "output_image", "06_output_image.png", "image/png", 9, output_index=1),
    )
    assert (result.outputs[0].url, result.outputs[0].filename) == ("", "")


def test_a_failed_output_keeps_its_reason_beside_one_that_succeeded() -> None:
    result = result_of(
        {
            "status": "partial",
            "outputs": [
                {"index": 1, "config": "a", "status": "succeeded"},
                {"index": 2, "config": "b", "status": "failed", "reason": "COMFY_LOST"},
                {"index": 3, "config": "c", "status": "failed", "reason": {"reason": "X_Y"}},
            ],
        },
        SeenEntity(6, "output_image", output_index=1),
    )
    assert [output.reason for output in result.outputs] == ["", "COMFY_LOST", "X_Y"]


def test_a_document_of_another_shape_gives_an_empty_result() -> None:
    result = result_of({"status": 3, "outputs": "none", "error": []})
    assert (result.status, result.outputs, result.error) == ("", (), "")
    assert exit_code_of(result.status) == 1


@pytest.mark.parametrize(
    ("state", "code"),
    [("succeeded", 0), ("partial", 0), ("blocked", 3), ("failed", 1), ("cancelled", 1)],
)
def test_the_exit_code_tells_blocked_and_failed_apart(state: str, code: int) -> None:
    assert exit_code_of(state) == code


def test_terminal_controls_of_others_are_made_visible() -> None:
    assert printable("a\x1b[2Jb\x9b1mc\u202ed\r\ne\tf") == "a\ufffd[2Jb\ufffd1mc\ufffdd\ne\tf"


def test_the_text_a_person_put_in_place_is_what_the_run_came_to() -> None:
    said = {"question": 5, "decision": "edit", "text": "Baum", "by": "person"}
    result = result_of(
        {"status": "succeeded"},
        SeenEntity(4, "interception", content="Blume Wiese"),
        SeenEntity(6, "decision", document=said),
        SeenEntity(9, "decision", document={**said, "text": "Haus"}, output_index=1),
    )
    assert result.final_output == "Baum"
    approved = SeenEntity(6, "decision", document={**said, "decision": "approve"})
    text = SeenEntity(4, "interception", content="Blume Wiese")
    assert result_of({"status": "succeeded"}, text, approved).final_output == "Blume Wiese"
