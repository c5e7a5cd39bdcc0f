"""The editor's format becomes API format: values, links, and what never reaches the API."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from services.kit.catalogue import CONFIGS
from services.media.comfy_files import ComfyNodes, load_comfy_nodes
from services.media.domain.editor_format import EditorFormatError, convert
from services.media.domain.editor_values import values_of
from tests.support.editor_workflow import add_between, editor_document, node_of

WORKFLOWS = sorted(path.stem for path in (CONFIGS / "workflows").glob("*.json"))


@cache
def nodes() -> ComfyNodes:
    found = load_comfy_nodes(CONFIGS, [])
    assert found is not None
    return found


def graph(name: str = "sd35_large") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(CONFIGS, "workflows", f"{name}.json").read_bytes())
    return found


def document(name: str = "sd35_large") -> Any:
    return editor_document(graph(name), nodes().definitions)


def converted(edited: Any) -> dict[str, Any]:
    result = convert(edited, nodes().definitions)
    assert result.left_out == {}
    return result.graph


def link_into(edited: Any, key: int, name: str) -> int:
    found: int = next(one["link"] for one in node_of(edited, key)["inputs"] if one["name"] == name)
    return found


@pytest.mark.parametrize("name", WORKFLOWS)
def test_what_the_editor_saves_is_what_its_api_export_says(name: str) -> None:
    found, wanted = converted(document(name)), graph(name)
    for key, node in wanted.items():
        assert found[key]["class_type"] == node["class_type"]
        # An input that was left to its default stands in the editor's file.
        assert node["inputs"].items() <= found[key]["inputs"].items()
        assert found[key]["_meta"] == node["_meta"]


def test_reroutes_notes_and_primitives_never_reach_the_graph() -> None:
    edited = document()
    add_between(edited, link_into(edited, 3, "model"), {"id": 90, "type": "Reroute"}, "MODEL")
    add_between(edited, link_into(edited, 3, "model"), {"id": 91, "type": "Reroute"}, "MODEL")
    edited["nodes"].append({"id": 92, "type": "MarkdownNote", "widgets_values": ["words"]})
    edited["nodes"].append({"id": 93, "type": "PrimitiveNode", "widgets_values": [77, "fixed"]})
    edited["links"].append([500, 93, 0, 3, 9, "INT"])
    node_of(edited, 3)["inputs"].append({"name": "steps", "type": "INT", "link": 500})
    found = converted(edited)
    assert set(found) == set(graph())
    assert found["3"]["inputs"]["model"] == ["4", 0]
    assert found["3"]["inputs"]["steps"] == 77
    assert found["3"]["inputs"]["cfg"] == 5.5


def test_a_bypassed_node_hands_on_what_it_takes_of_that_type() -> None:
    edited = document("qwen_image")
    node_of(edited, 66)["mode"] = 4
    found = converted(edited)
    assert "66" not in found
    assert found["3"]["inputs"]["model"] == ["37", 0]


def test_a_muted_node_is_gone_and_its_link_with_it() -> None:
    edited = document()
    node_of(edited, 40)["mode"] = 2
    found = converted(edited)
    assert "40" not in found
    assert "negative" not in found["3"]["inputs"]


def subgraph() -> Any:
    """The sampler of sd35_large in a subgraph, its seed and steps handed in from outside."""
    edited = document()
    sampler = node_of(edited, 3)
    inner = copy.deepcopy(sampler)
    outside = [socket for socket in sampler["inputs"]]
    inner["inputs"] = [{**one, "link": number} for number, one in enumerate(outside, 1)]
    inner["inputs"].append({"name": "steps", "type": "INT", "link": 8, "widget": {"name": "steps"}})
    links = [
        {"id": n, "origin_id": -10, "origin_slot": n - 1, "target_id": 3, "target_slot": n - 1}
        for n in range(1, len(outside) + 1)
    ]
    links.append({"id": 8, "origin_id": -10, "origin_slot": 4, "target_id": 3, "target_slot": 4})
    links.append({"id": 9, "origin_id": 3, "origin_slot": 0, "target_id": -20, "target_slot": 0})
    kinds = [(one["name"], one["type"]) for one in outside] + [("steps", "INT")]
    edited["definitions"] = {
        "subgraphs": [
            {
                "id": "a-b-c",
                "name": "Sampling",
                "nodes": [inner],
                "links": links,
                "inputs": [{"name": name, "type": kind} for name, kind in kinds],
                "outputs": [{"name": "LATENT", "type": "LATENT"}],
            }
        ]
    }
    sampler["type"] = "a-b-c"
    sampler["widgets_values"] = []
    return edited


def test_a_subgraph_is_unfolded_where_it_stands() -> None:
    found = converted(subgraph())
    assert set(found) == {*graph(), "3:3"} - {"3"}
    wanted = graph()["3"]["inputs"]
    assert found["3:3"]["inputs"] == wanted
    assert found["8"]["inputs"]["samples"] == ["3:3", 0]


def test_a_value_set_on_a_subgraph_from_outside_wins() -> None:
    edited = subgraph()
    node_of(edited, 3)["widgets_values"] = [33]
    assert converted(edited)["3:3"]["inputs"]["steps"] == 33


def test_values_of_a_subgraph_that_cannot_be_told_apart_are_refused() -> None:
    edited = subgraph()
    node_of(edited, 3)["widgets_values"] = [33, 34, 35]
    reason = convert(edited, nodes().definitions).left_out["3:3"]
    assert "which of the 3 values of subgraph node 3" in reason


def test_a_muted_subgraph_is_gone_as_a_whole() -> None:
    edited = subgraph()
    node_of(edited, 3)["mode"] = 2
    found = converted(edited)
    assert not [key for key in found if key.startswith("3")]
    assert "samples" not in found["8"]["inputs"]


def test_a_subgraph_that_contains_itself_is_refused() -> None:
    edited = subgraph()
    edited["definitions"]["subgraphs"][0]["nodes"].append({"id": 5, "type": "a-b-c", "mode": 0})
    with pytest.raises(EditorFormatError):
        convert(edited, nodes().definitions)


def test_reroutes_in_a_circle_are_refused() -> None:
    edited = document()
    edited["nodes"] += [
        {"id": 90, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": 601}]},
        {"id": 91, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": 602}]},
    ]
    edited["links"] += [[601, 91, 0, 90, 0, "*"], [602, 90, 0, 91, 0, "*"]]
    edited["links"] += [[603, 90, 0, 8, 0, "LATENT"]]
    node_of(edited, 8)["inputs"][0]["link"] = 603
    assert "circle" in convert(edited, nodes().definitions).left_out["8"]


def test_a_node_without_definition_is_left_out_with_the_reason() -> None:
    edited = document()
    node_of(edited, 16)["type"] = "MyOwnEncoder"
    result = convert(edited, nodes().definitions)
    assert result.left_out == {"16": "MyOwnEncoder: there is no definition of this node here"}
    assert "3" in result.graph


def test_more_values_than_the_definition_knows_are_refused_not_guessed() -> None:
    edited = document()
    node_of(edited, 53)["widgets_values"] = [1024, 1024, 1, 7]
    left_out = convert(edited, nodes().definitions).left_out
    assert left_out["53"].endswith("it has 4 values, 1 more than its definition knows")


@pytest.mark.parametrize(
    ("class_type", "values", "wanted"),
    [
        ("RandomNoise", [5, "randomize"], {"noise_seed": 5}),
        ("RandomNoise", [5], {"noise_seed": 5}),
        ("PrimitiveInt", [8, "fixed"], {"value": 8}),
        ("LoadImage", ["a.png", "image"], {"image": "a.png"}),
        ("CLIPTextEncode", ["fixed"], {"text": "fixed"}),
        ("CLIPTextEncode", {"text": "a", "other": 1}, {"text": "a"}),
        ("VAEDecode", None, {}),
        ("EmptyLatentAudio", [47.6], {"seconds": 47.6, "batch_size": 1}),
        ("EmptySD3LatentImage", [64.0, 32, 1], {"width": 64, "height": 32, "batch_size": 1}),
        (
            "SaveImageAdvanced",
            ["p", "exr", "32-bit float", "linear"],
            {
                "filename_prefix": "p",
                "format": "exr",
                "format.bit_depth": "32-bit float",
                "format.input_color_space": "linear",
            },
        ),
    ],
)
def test_values_get_their_names_back(
    class_type: str, values: object, wanted: dict[str, object]
) -> None:
    assert values_of(nodes().definitions[class_type], values) == wanted


@pytest.mark.parametrize(
    "broken",
    [
        {"nodes": [{}]},
        {"nodes": [7]},
        {"nodes": [], "links": [[1]]},
        {"nodes": [], "definitions": 7},
        {"nodes": [], "definitions": {"subgraphs": [{}]}},
    ],
)
def test_what_is_no_file_of_the_editor_is_refused(broken: Any) -> None:
    with pytest.raises(EditorFormatError):
        convert(broken, nodes().definitions)
