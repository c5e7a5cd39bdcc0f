"""What a driver recorded is read back by the next one as it was meant, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from services.kit.errors import DataLoss, InvalidArgument
from services.orchestrator.domain.documents import error_document, verdict_document
from services.orchestrator.domain.recorded_documents import error_of, step_output_of, verdicts_of
from services.orchestrator.domain.run import ModelUse, RunError, Verdict

SAFE = Verdict(
    safe=True,
    purpose="input",
    rule="",
    codes=(),
    checks=("wordlist:1",),
    terms=(),
    explanation="",
    suggestion="",
    language="de",
    used=ModelUse("safety", "builtin", "rules"),
    sequence=3,
)
BLOCKED = replace(
    SAFE, safe=False, rule="youth.x", codes=("c",), terms=("t",), explanation="Nein", suggestion="?"
)


def test_verdicts_come_back_with_the_words_of_the_one_that_decided() -> None:
    told = verdicts_of(verdict_document(1, "youth", [replace(SAFE, language=""), BLOCKED]))
    assert told == (replace(SAFE, language=""), BLOCKED)


def test_a_document_says_the_same_again_when_it_is_written_again() -> None:
    document = verdict_document(4, "kids", [SAFE, BLOCKED])
    assert verdict_document(4, "kids", verdicts_of(document)) == document


DOCUMENT = json.loads(verdict_document(1, "youth", [SAFE]))


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"not JSON",
        b"{}",
        json.dumps({**DOCUMENT, "decision": "perhaps"}).encode(),
        json.dumps({**DOCUMENT, "decision": "blocked"}).encode(),
        json.dumps({**DOCUMENT, "verdicts": []}).encode(),
        json.dumps({**DOCUMENT, "verdicts": [{"decision": "safe"}]}).encode(),
        json.dumps(
            {**DOCUMENT, "verdicts": [{**DOCUMENT["verdicts"][0], "decision": ""}]}
        ).encode(),
    ],
)
def test_what_is_no_verdict_is_never_taken_for_a_yes(document: bytes) -> None:
    with pytest.raises(DataLoss, match="RECORD_NOT_UNDERSTOOD"):
        verdicts_of(document)


def test_an_error_comes_back_with_its_stage_and_whether_to_try_again() -> None:
    error = InvalidArgument("INVALID_PARAMETER", "expected 1", field="parameters.steps")
    assert error_of(error_document(4, error, {"output_config": "a"})) == RunError(
        "INVALID_PARAMETER", "parameters.steps: expected 1", 4, retryable=False
    )


@pytest.mark.parametrize("document", [b"{}", b'{"output": 3}', b"null"])
def test_what_is_no_step_output_is_refused(document: bytes) -> None:
    with pytest.raises(DataLoss, match="RECORD_NOT_UNDERSTOOD"):
        step_output_of(document)
