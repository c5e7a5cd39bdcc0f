"""The fake ComfyUI refuses what the recorded one refused, in the same words."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from services.kit.catalogue import CONFIGS
from tests.fakes.comfyui.nodes import real_nodes
from tests.fakes.comfyui.validation import validate

REFERENCE = CONFIGS.parents[1] / "shared" / "reference"
RECORDING = REFERENCE / "comfyui_transcripts" / "03_validation_errors.json"
# Of these the request decides before any graph is looked at; the server of the fake answers them.
BEFORE_THE_GRAPH = ("no_prompt", "invalid_prompt_id")


def recorded() -> list[Any]:
    """Submitted graph, status and answer of every recorded POST /prompt."""
    if not RECORDING.is_file():
        return []
    found = []
    for step in json.loads(RECORDING.read_bytes())["steps"]:
        body, answer = step.get("request_body"), step.get("response_json")
        graph = body.get("prompt") if isinstance(body, dict) else None
        if step.get("url") != "/prompt" or not isinstance(graph, dict) or answer is None:
            continue
        if answer.get("error", {}).get("type") in BEFORE_THE_GRAPH:
            continue
        found.append(pytest.param(graph, step["status"], answer, id=step["label"][:60]))
    return found


@cache
def nodes() -> dict[str, dict[str, Any]]:
    """The definitions of the recorded ComfyUI."""
    return real_nodes(REFERENCE / "comfyui_object_info.json")


def comparable(value: Any) -> Any:
    """Without the paths of a server, and without what the condensed definitions leave out."""
    if isinstance(value, dict):
        return {
            key: found[0] if key == "input_config" else comparable(found)
            for key, found in value.items()
            if key != "traceback"
        }
    return [comparable(one) for one in value] if isinstance(value, list) else value


@pytest.mark.skipif(not RECORDING.is_file(), reason="the recordings are not beside the checkout")
@pytest.mark.parametrize(("graph", "status", "answer"), recorded())
def test_a_recorded_prompt_is_judged_as_it_was(graph: Any, status: int, answer: Any) -> None:
    verdict = validate(graph, nodes(), ())
    assert (verdict.error is None) == (status == 200)
    assert comparable(verdict.node_errors) == comparable(answer["node_errors"])
    assert verdict.error == answer.get("error")
