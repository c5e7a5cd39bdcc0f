"""The types of entities are the same wherever they are named."""

from __future__ import annotations

import re
from pathlib import Path

from services.gateway.domain.selection import ENTITY_TYPES
from services.recorder.domain.vocabulary import EntityType

DOCS = Path(__file__).parents[2] / "docs"
RECORDED = {one.value for one in EntityType}


def test_whatever_is_recorded_can_be_asked_for_over_http() -> None:
    assert ENTITY_TYPES == RECORDED


def test_the_pages_name_every_type() -> None:
    told = (DOCS / "http-api.md").read_text(encoding="utf-8").partition(" Types: ")[2]
    listed = set(re.findall(r"`([a-z_]+)`", told.partition(".\n")[0]))
    assert listed == RECORDED
    # There, types of one kind share a row that ends with an ellipsis.
    page = (DOCS / "run-folder.md").read_text(encoding="utf-8")
    for name in RECORDED:
        assert f"`{name}`" in page or name.startswith("output_"), name
