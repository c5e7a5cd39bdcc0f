"""Every way in which an output can fail tells what helps."""

from __future__ import annotations

import re
from pathlib import Path

from services.kit.errors import FailedPrecondition, NotFound, Unavailable
from services.media.domain.advice import ADVICE, advise

ROOT = Path(__file__).resolve().parents[3]
# Not failures of an output: a warning, a wish, what a caller asked wrongly, and nothing come late.
OTHERS = {
    "DEADLINE_NEAR",
    "MEDIA_CANCELLED",
    "JOB_DIFFERS",
    "INSTANCE_NOT_FOUND",
    "LATE_RESULT_NOT_FOUND",
}


def test_every_documented_failure_of_an_output_has_its_advice() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    section = page.split("## Media and ComfyUI")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    reasons = {reason for row in rows for reason in re.findall(r"`([A-Z0-9_]+)`", row)}
    assert sorted(reasons - OTHERS - ADVICE.keys()) == []


def test_who_raised_the_error_may_know_better() -> None:
    own = FailedPrecondition("BACKEND_BLOCKED", "no", metadata={"advice": "leave out the wolf"})
    common = Unavailable("COMFY_LOST", "gone")
    unknown = NotFound("RUN_NOT_FOUND", "no such run")
    for error in (own, common, unknown):
        advise(error)
    assert own.metadata["advice"] == "leave out the wolf"
    assert "try again" in common.metadata["advice"]
    assert "advice" not in unknown.metadata
