"""The check of a graph against node definitions: what it finds, and that the fake agrees."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from services.media.domain.graph import Node
from services.media.domain.graph_check import GraphDefect, check_graph, types_fit
from services.media.domain.node_definition import parse_definition, parse_definitions
from tests.fakes.comfyui.nodes import node_table
from tests.fakes.comfyui.validation import validate

NODES = node_table()
DEFINITIONS = parse_definitions(NODES)
SAMPLER = {"seed": 1, "steps": 20, "cfg": 5.5, "sampler_name": "euler", "scheduler": "normal"}
GRAPH: dict[str, Any] = {
    "4": {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "sd3.5_large.safetensors"},
    },
    "16": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}},
    "53": {
        "class_type": "EmptySD3LatentImage",
        "inputs": {"width": 1024, "height": 1024, "batch_size": 1},
    },
    "3": {
        "class_type": "KSampler",
        "inputs": {
            **SAMPLER,
            "denoise": 1.0,
            "model": ["4", 0],
            "positive": ["16", 0],
            "negative": ["16", 0],
            "latent_image": ["53", 0],
        },
    },
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {
        "class_type": "SaveImageAdvanced",
        "inputs": {
            "images": ["8", 0],
            "filename_prefix": "artlab",
            "format": "png",
            "format.bit_depth": "8-bit",
            "format.input_color_space": "sRGB",
        },
    },
}
GONE = object()


def changed(key: str, **inputs: Any) -> dict[str, Any]:
    graph = copy.deepcopy(GRAPH)
    for name, value in inputs.items():
        name = name.replace("__", ".")
        if value is GONE:
            del graph[key]["inputs"][name]
        else:
            graph[key]["inputs"][name] = value
    return graph


def of_class(key: str, class_type: str) -> dict[str, Any]:
    graph = copy.deepcopy(GRAPH)
    graph[key]["class_type"] = class_type
    return graph


def check(graph: dict[str, Any], **options: Any) -> list[GraphDefect]:
    nodes = {key: Node(node["class_type"], node["inputs"]) for key, node in graph.items()}
    return check_graph(nodes, DEFINITIONS, **options)


def without(*keys: str) -> dict[str, Any]:
    return {key: node for key, node in GRAPH.items() if key not in keys}


def circle() -> dict[str, Any]:
    graph = copy.deepcopy(GRAPH)
    graph["20"] = {"class_type": "ImageInvert", "inputs": {"image": ["21", 0]}}
    graph["21"] = {"class_type": "ImageInvert", "inputs": {"image": ["20", 0]}}
    graph["9"]["inputs"]["images"] = ["21", 0]
    return graph


def test_a_graph_that_will_run_has_no_defect() -> None:
    assert check(GRAPH) == []
    assert validate(GRAPH, NODES).error is None


# Graph, and node, input and kind of its one defect. ComfyUI has its own names for the last ones.
BROKEN = [
    (of_class("16", "NoSuchNode"), "16", "", "missing_node_type"),
    (changed("3", seed=GONE), "3", "seed", "required_input_missing"),
    (changed("3", model=GONE), "3", "model", "required_input_missing"),
    (changed("9", format__bit_depth=GONE), "9", "format.bit_depth", "required_input_missing"),
    (changed("3", steps=100_000), "3", "steps", "value_bigger_than_max"),
    (changed("3", denoise=1.5), "3", "denoise", "value_bigger_than_max"),
    (changed("53", width=1), "53", "width", "value_smaller_than_min"),
    (changed("3", steps="many"), "3", "steps", "invalid_input_type"),
    (changed("3", cfg="high"), "3", "cfg", "invalid_input_type"),
    (changed("3", sampler_name="bogus"), "3", "sampler_name", "value_not_in_list"),
    (changed("4", ckpt_name="gone.safetensors"), "4", "ckpt_name", "value_not_in_list"),
    (changed("9", format__bit_depth="1-bit"), "9", "format.bit_depth", "value_not_in_list"),
    (changed("3", model=["4"]), "3", "model", "bad_linked_input"),
    (changed("3", model=["53", 0]), "3", "model", "return_type_mismatch"),
    (changed("3", steps=["53", 0]), "3", "steps", "return_type_mismatch"),
    (changed("3", model=["99", 0]), "3", "model", "dangling_link"),
    (changed("3", model=["4", 3]), "3", "model", "dangling_link"),
    (without("9"), "", "", "prompt_no_outputs"),
]
# ComfyUI takes these, and they are mistakes in a workflow all the same.
STRICTER = [
    (changed("3", depth=3), "3", "depth", "unknown_input"),
    (changed("9", format__quality=3), "9", "format.quality", "unknown_input"),
    (changed("3", steps="20"), "3", "steps", "invalid_input_type"),
    (changed("3", steps=2.5), "3", "steps", "invalid_input_type"),
    (changed("3", steps=True), "3", "steps", "invalid_input_type"),
    (changed("3", model="sd3.5"), "3", "model", "invalid_input_type"),
    (changed("16", text=7), "16", "text", "invalid_input_type"),
]
COMFY_SAYS = {"dangling_link": "exception_during_inner_validation"}


@pytest.mark.parametrize(("graph", "node", "name", "kind"), BROKEN + STRICTER)
def test_a_defect_is_found_with_node_input_and_kind(
    graph: dict[str, Any], node: str, name: str, kind: str
) -> None:
    assert [(one.node, one.input, one.kind) for one in check(graph)] == [(node, name, kind)]
    assert check(graph)[0].reason


@pytest.mark.parametrize(("graph", "node", "name", "kind"), BROKEN)
def test_the_fake_refuses_what_the_check_refuses(
    graph: dict[str, Any], node: str, name: str, kind: str
) -> None:
    verdict = validate(graph, NODES)
    assert verdict.error is not None
    if verdict.node_errors:
        kinds = [one["type"] for one in verdict.node_errors[node]["errors"]]
        assert kinds == [COMFY_SAYS.get(kind, kind)]
    else:
        assert verdict.error["type"] == kind


@pytest.mark.parametrize(("graph", "node", "name", "kind"), STRICTER[:3])
def test_comfyui_itself_is_not_that_strict(
    graph: dict[str, Any], node: str, name: str, kind: str
) -> None:
    assert validate(graph, NODES).error is None


def test_every_node_of_a_circle_is_told_and_none_behind_it() -> None:
    found = check(circle())
    assert {(one.node, one.kind) for one in found} == {
        ("20", "dependency_cycle"),
        ("21", "dependency_cycle"),
    }
    assert set(validate(circle(), NODES).node_errors) == {"20", "21"}


def test_a_dynamic_choice_is_given_flat_and_its_value_is_one_of_the_branches() -> None:
    graph = changed("9", format="exr", format__bit_depth="32-bit float")
    assert check(graph) == []
    nested = changed("9", format={"format": "png", "bit_depth": "8-bit"})
    assert ("9", "format", "value_not_in_list") in [
        (one.node, one.input, one.kind) for one in check(nested)
    ]
    assert check(changed("9", format="tiff"))[0].kind == "value_not_in_list"


def test_all_defects_are_told_at_once_with_the_field_of_the_file() -> None:
    graph = changed("3", seed=GONE, steps=0, depth=1)
    assert [one.field for one in check(graph)] == [
        "3.inputs.depth",
        "3.inputs.seed",
        "3.inputs.steps",
    ]


def test_classes_without_definition_may_be_left_to_the_instance() -> None:
    graph = of_class("16", "MyOwnEncoder")
    assert check(graph, partial=True) == []
    # Whether one of them saves is not known either.
    assert check({"16": graph["16"] | {"inputs": {}}}, partial=True) == []


@pytest.mark.parametrize(
    ("given", "wanted", "fits"),
    [
        ("IMAGE", "IMAGE", True),
        ("IMAGE", "MASK", False),
        ("*", "MASK", True),
        ("IMAGE", "*", True),
        ("COMFY_MATCHTYPE_V3", "IMAGE", True),
        ("INT", "INT,FLOAT", True),
        ("FLOAT, STRING", "INT,FLOAT", True),
        ("STRING", "INT,FLOAT", False),
        ("INT", "FLOAT", False),
    ],
)
def test_types_fit_as_in_comfyui(given: str, wanted: str, fits: bool) -> None:
    assert types_fit(given, wanted) is fits


@pytest.mark.parametrize("value", [None, [], {}, {"input": []}, {"output": ["IMAGE"]}])
def test_what_is_no_definition_is_left_out(value: object) -> None:
    assert parse_definition("x", value) is None


JUNK: list[Any] = [None, 7, "x", [], {}, [[]], [None], [{}], [["a"], 7], ["COMBO", {"options": 7}]]


@pytest.mark.parametrize("junk", JUNK)
def test_a_definition_with_something_else_in_it_is_read_as_far_as_it_goes(junk: Any) -> None:
    dynamic = ["COMFY_DYNAMICCOMBO_V3", {"options": [junk, {"key": "a"}, {"inputs": junk}]}]
    node = {
        "input": {"required": {"a": junk, "b": dynamic, "c": ["INT", {}]}, "optional": junk},
        "input_order": junk,
        "output": junk,
        "output_name": junk,
    }
    found = parse_definition("n", node)
    assert found is not None
    assert found.inputs["c"].type == "INT"
    assert check_graph({"1": Node("n", {"a": 1, "b": "a", "c": 1})}, {"n": found}) != []


def test_both_ways_to_write_choices_are_read() -> None:
    older = {"input": {"required": {"a": [["x", "y"], {}]}}}
    newer = {"input": {"required": {"a": ["COMBO", {"options": ["x", "y"]}]}}}
    found = [parse_definition("n", one) for one in (older, newer)]
    assert [one.inputs["a"].choices for one in found if one is not None] == [("x", "y")] * 2
