"""One digest over everything that decides the bytes of an output, and over nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.kit.catalogue import CONFIGS
from services.media.catalogue import load_output_catalogue
from services.media.domain.render_digest import render_digest
from services.media.domain.workflow import Workflow

SHIPPED = load_output_catalogue(CONFIGS).configs
REQUEST: dict[str, Any] = {
    "prompt": "Eine Blume",
    "seed": 7,
    "recipe": "dada",
    "values": {"width": 512, "style": "calm"},
    "images": {"input_image": "a" * 64},
}


def test_every_shipped_config_has_one_of_its_own() -> None:
    digests = {name: render_digest(found, **REQUEST) for name, found in SHIPPED.items()}
    assert len(set(digests.values())) == len(SHIPPED)
    again = load_output_catalogue(CONFIGS).configs
    assert digests == {name: render_digest(found, **REQUEST) for name, found in again.items()}


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "Eine Blume "},
        {"seed": 8},
        {"recipe": ""},
        {"values": {"width": 512, "style": "wild"}},
        {"values": {"width": 512}},
        {"images": {"input_image": "b" * 64}},
        {"images": {}},
    ],
    ids=str,
)
def test_whatever_was_asked_for_makes_another(change: dict[str, Any]) -> None:
    config = SHIPPED["sd35_large"]
    assert render_digest(config, **(REQUEST | change)) != render_digest(config, **REQUEST)


def test_so_does_whatever_the_workflow_holds_and_nothing_that_leaves_the_bytes_alone() -> None:
    config = SHIPPED["sd35_large"]
    plain = render_digest(config, **REQUEST)
    workflow = config.backend_options["workflow"]
    assert isinstance(workflow, Workflow)
    key = next(iter(workflow.nodes))
    node = replace(workflow.nodes[key], inputs={**workflow.nodes[key].inputs, "more": 1})
    other = replace(workflow, nodes={**workflow.nodes, key: node})
    changed = replace(config, backend_options={"workflow": other})
    assert render_digest(changed, **REQUEST) != plain
    assert render_digest(replace(config, keep_metadata=True), **REQUEST) != plain
    # What it is called and how long it may take does not matter.
    assert render_digest(replace(config, title={"en": "x"}, deadline_seconds=1), **REQUEST) == plain
    order = dict(reversed(REQUEST["values"].items()))
    assert render_digest(config, **(REQUEST | {"values": order})) == plain
