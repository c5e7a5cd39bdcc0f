"""What happened in a run, as rows."""

from __future__ import annotations

import pytest

from services.cli.domain.result import SeenEntity
from services.cli.rows import entity_row


@pytest.mark.parametrize(
    ("details", "told"),
    [
        ({"advice": "use a smaller size"}, "COMFY_OOM: no memory; what helps: use a smaller size"),
        ({"node": "7"}, "COMFY_OOM: no memory"),
        (None, "COMFY_OOM: no memory"),
    ],
)
def test_an_error_tells_what_helps(details: object, told: str) -> None:
    document = {"type": "COMFY_OOM", "message": "no memory", "details": details}
    assert entity_row(SeenEntity(9, "error", document=document)).content.plain == told
