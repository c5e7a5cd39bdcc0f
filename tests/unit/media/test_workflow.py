"""Workflows as data: what is refused at load, and how values enter the graph."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from services.kit.catalogue import CONFIGS
from services.media.comfy_files import load_comfy_nodes
from services.media.domain.allowed_node import AllowedNode
from services.media.domain.workflow import Target, Workflow, WorkflowError, parse_workflow

NODES = load_comfy_nodes(CONFIGS, [])
assert NODES is not None
ALLOWED = NODES.allowed

GRAPH: dict[str, Any] = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "m.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["1", 1]}},
    "3": {
        "class_type": "EmptySD3LatentImage",
        "inputs": {"width": 1, "height": 1, "batch_size": 1},
    },
    "4": {
        "class_type": "KSampler",
        "inputs": {"seed": 0, "positive": ["2", 0], "latent_image": ["3", 0]},
    },
    "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
    "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "x"}},
    "7": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "y"}},
}
TARGETS = {
    "prompt": (Target("2", "text"),),
    "seed": (Target("4", "seed"),),
    "width": (Target("3", "width"),),
}


def parse(graph: object = None, output: str = "6", **targets: tuple[Target, ...]) -> Workflow:
    document = GRAPH if graph is None else graph
    return parse_workflow("w", document, {**TARGETS, **targets}, output, ALLOWED)


def defects(graph: object = None, output: str = "6", **targets: Any) -> list[tuple[str, str]]:
    with pytest.raises(WorkflowError) as caught:
        parse(graph, output, **targets)
    return list(caught.value.defects)


def changed(node: str, **changes: Any) -> dict[str, Any]:
    graph = copy.deepcopy(GRAPH)
    inputs = changes.pop("inputs", {})
    graph.setdefault(node, {}).update(changes)
    graph[node].setdefault("inputs", {}).update(inputs)
    return graph


@pytest.mark.parametrize(
    "prompt",
    ['say "hi"', "a\\b", "line\nline", "{0} ${x} %s {{y}}", '","text":"', "日本 – ü 😀", "'"],
)
def test_any_prompt_arrives_as_it_is(prompt: str) -> None:
    graph = parse().fill(prompt=prompt, seed=3, values={"width": 64}, prefix="artlab/p")
    assert json.loads(json.dumps(graph))["2"]["inputs"]["text"] == prompt


def test_values_go_where_they_belong_and_the_template_stays_as_it_was() -> None:
    before = copy.deepcopy(GRAPH)
    workflow = parse(width=(Target("3", "width"), Target("3", "height")))
    graph = workflow.fill(prompt="p", seed=3, values={"width": 64}, prefix="artlab/p")
    assert graph["4"]["inputs"] == {**GRAPH["4"]["inputs"], "seed": 3}
    assert graph["3"]["inputs"] == {"width": 64, "height": 64, "batch_size": 1}
    graph["2"]["inputs"] = {}
    assert before == GRAPH
    assert workflow.fill(prompt="q", seed=3, values={"width": 64}, prefix="")["2"]["inputs"]


def test_every_saver_writes_under_our_prefix() -> None:
    graph: Any = parse().fill(prompt="p", seed=1, values={"width": 1}, prefix="artlab/unique")
    prefixes = {graph[node]["inputs"]["filename_prefix"] for node in ("6", "7")}
    assert prefixes == {"artlab/unique"}


def test_models_and_classes_are_known_before_anything_runs() -> None:
    workflow = parse()
    assert [(found.input, found.name) for found in workflow.models] == [
        ("ckpt_name", "m.safetensors")
    ]
    assert workflow.model == "m.safetensors"
    assert "KSampler" in workflow.class_types
    assert workflow.weight("4") > 10 * workflow.weight("3")
    assert workflow.weight("99") == 0


@pytest.mark.parametrize(
    ("graph", "field"),
    [
        ([], ""),
        ({}, ""),
        (None.__class__, ""),
        ({"nodes": [], "links": []}, ""),
        ({str(number): {} for number in range(301)}, ""),
        (changed("2", class_type="PythonExec"), "2.class_type"),
        (changed("2", class_type="LoadImageOutput"), "2.class_type"),
        (changed("2", class_type="LoadImage", inputs={"image": "a.png"}), "2.inputs.image"),
        (changed("2", class_type=7), "2"),
        ({**GRAPH, "8": "text"}, "8"),
        ({**GRAPH, "8": {"class_type": "VAEDecode"}}, "8"),
        (changed("2", inputs={"clip": ["99", 0]}), "2.inputs.clip"),
        (changed("2", inputs={"clip": ["1"]}), "2.inputs.clip"),
        (changed("2", inputs={"clip": [1, 0]}), "2.inputs.clip"),
        (changed("2", inputs={"clip": ["1", -1]}), "2.inputs.clip"),
        (changed("2", inputs={"clip": ["1", True]}), "2.inputs.clip"),
        (changed("2", inputs={"clip": {"a": 1}}), "2.inputs.clip"),
        (changed("2", inputs={"clip": None}), "2.inputs.clip"),
        (changed("4", inputs={"cfg": float("nan")}), "4.inputs.cfg"),
        (changed("4", inputs={"cfg": float("inf")}), "4.inputs.cfg"),
        (changed("6", inputs={"filename_prefix": "/etc/evil"}), "6.inputs.filename_prefix"),
        (changed("6", inputs={"filename_prefix": "../../evil"}), "6.inputs.filename_prefix"),
        (changed("6", inputs={"filename_prefix": "a\\..\\b"}), "6.inputs.filename_prefix"),
        (changed("6", inputs={"filename_prefix": "C:\\evil"}), "6.inputs.filename_prefix"),
        (changed("6", inputs={"filename_prefix": 7}), "6.inputs.filename_prefix"),
        (changed("3", inputs={"batch_size": 1000}), "3.inputs.batch_size"),
    ],
)
def test_a_graph_that_is_not_what_we_run_is_refused_with_the_field(
    graph: object, field: str
) -> None:
    assert field in [found for found, _ in defects(graph)]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (Target("99", "text"), "there is no node 99"),
        (Target("3", "depth"), "node 3 has no input depth"),
        (Target("4", "positive"), "4.positive is a link"),
        (Target("6", "filename_prefix"), "filename_prefix is set by us"),
        (Target("1", "ckpt_name"), "model files are not for requests to choose"),
        (Target("3", "batch_size"), "one output per config"),
    ],
)
def test_a_slot_that_sets_nothing_or_too_much_is_refused(target: Target, reason: str) -> None:
    assert ("slots.width", reason) in defects(width=(target,))


def test_a_slot_without_target_is_refused() -> None:
    assert ("slots.width", "sets no input") in defects(width=())


@pytest.mark.parametrize("slot", ["prompt", "seed"])
def test_prompt_and_seed_are_needed(slot: str) -> None:
    targets = {name: found for name, found in TARGETS.items() if name != slot}
    with pytest.raises(WorkflowError) as caught:
        parse_workflow("w", GRAPH, targets, "6", ALLOWED)
    assert caught.value.defects == ((f"slots.{slot}", "missing"),)


@pytest.mark.parametrize("output", ["99", "5", ""])
def test_the_output_node_must_be_one_that_saves(output: str) -> None:
    assert "workflow.output_node" in [field for field, _ in defects(output=output)]


def test_several_nodes_can_make_the_output_each_once() -> None:
    several = parse_workflow("w", GRAPH, TARGETS, ("7", "6"), ALLOWED)
    assert several.output_nodes == ("7", "6")
    assert parse().output_nodes == ("6",)
    assert not several.makes_text
    for outputs in (("6", "6"), ("6", "5")):
        with pytest.raises(WorkflowError) as caught:
            parse_workflow("w", GRAPH, TARGETS, outputs, ALLOWED)
        assert [field for field, _ in caught.value.defects] == ["workflow.output_node"]


def test_a_node_that_tells_a_text_needs_no_prefix() -> None:
    graph = GRAPH | {"6": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}}}
    allowed = {**ALLOWED, "PreviewAny": AllowedNode(saves=("text",))}
    found = parse_workflow("w", graph, TARGETS, "6", allowed, kind="text")
    assert found.makes_text
    with pytest.raises(WorkflowError):
        parse_workflow("w", graph, TARGETS, "6", allowed, kind="image")


def test_a_saver_without_prefix_is_no_output() -> None:
    graph = copy.deepcopy(GRAPH)
    del graph["6"]["inputs"]["filename_prefix"]
    assert "workflow.output_node" in [field for field, _ in defects(graph)]


def test_all_defects_are_told_at_once() -> None:
    graph = changed("2", class_type="Shell", inputs={"clip": ["99", 0]})
    assert len(defects(graph, output="1", width=(Target("3", "depth"),))) == 4
