"""ComfyUI workflows as data: a graph in API format and the inputs our slots set in it. Pure.

The prompt and every other value enter the graph as values, never as text spliced into JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.media.domain.output_config import Value

# Everything a shipped or imported workflow may be made of. Nodes that run code, read files by
# name, open connections or write anywhere but the output folder stay out.
SAVERS = frozenset({"SaveImage", "SaveImageAdvanced"})
ALLOWED_CLASS_TYPES = SAVERS | {
    "BasicGuider",
    "BasicScheduler",
    "CFGGuider",
    "CFGNorm",
    "CLIPLoader",
    "CLIPTextEncode",
    "CLIPTextEncodeFlux",
    "CLIPTextEncodeSD3",
    "CheckpointLoaderSimple",
    "ConditioningZeroOut",
    "DualCLIPLoader",
    "EmptyFlux2LatentImage",
    "EmptyImage",
    "EmptyLatentImage",
    "EmptySD3LatentImage",
    "Flux2Scheduler",
    "FluxGuidance",
    "ImageBlur",
    "ImageInvert",
    "ImageScale",
    "KSampler",
    "KSamplerAdvanced",
    "KSamplerSelect",
    "ModelSamplingAuraFlow",
    "ModelSamplingFlux",
    "ModelSamplingSD3",
    "RandomNoise",
    "SamplerCustomAdvanced",
    "TripleCLIPLoader",
    "UNETLoader",
    "VAEDecode",
    "VAEDecodeTiled",
    "VAELoader",
}

# Which inputs name a file of the instance's model folders.
MODEL_INPUTS: Mapping[str, tuple[str, ...]] = {
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name",),
    "CLIPLoader": ("clip_name",),
    "DualCLIPLoader": ("clip_name1", "clip_name2"),
    "TripleCLIPLoader": ("clip_name1", "clip_name2", "clip_name3"),
    "VAELoader": ("vae_name",),
}

# Shares of the whole that a node's work usually takes; samplers dominate by far.
_SAMPLERS = {"KSampler", "KSamplerAdvanced", "SamplerCustomAdvanced"}
_WEIGHTS = {name: 40.0 for name in _SAMPLERS} | {
    "CheckpointLoaderSimple": 4.0,
    "UNETLoader": 4.0,
    "CLIPLoader": 2.0,
    "DualCLIPLoader": 2.0,
    "TripleCLIPLoader": 2.0,
    "VAEDecode": 4.0,
    "VAEDecodeTiled": 4.0,
}

PREFIX_INPUT = "filename_prefix"
MAX_NODES = 300


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One input of one node."""

    node: str
    input: str


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the graph. An input is a literal or a link `[node id, output slot]`."""

    class_type: str
    inputs: Mapping[str, object]


@dataclass(frozen=True, slots=True, order=True)
class ModelFile:
    """A file the instance must have: the loader's class, its input, the name."""

    class_type: str
    input: str
    name: str


@dataclass(frozen=True, slots=True)
class Workflow:
    """A graph, where our slots go, and the node whose file is the output.

    `targets` holds every slot of the config plus `prompt` and `seed`.
    """

    name: str
    nodes: Mapping[str, Node]
    targets: Mapping[str, tuple[Target, ...]]
    output_node: str

    def fill(
        self, *, prompt: str, seed: int, values: Mapping[str, Value], prefix: str
    ) -> dict[str, dict[str, object]]:
        """Return the graph to submit: every slot set, every file under our own prefix."""
        graph: dict[str, dict[str, object]] = {}
        inputs_of: dict[str, dict[str, object]] = {}
        for key, node in self.nodes.items():
            inputs = inputs_of[key] = dict(node.inputs)
            if PREFIX_INPUT in inputs:
                inputs[PREFIX_INPUT] = prefix
            graph[key] = {"class_type": node.class_type, "inputs": inputs}
        given: dict[str, Value] = {**values, "prompt": prompt, "seed": seed}
        for slot, targets in self.targets.items():
            for target in targets:
                inputs_of[target.node][target.input] = given[slot]
        return graph

    @property
    def class_types(self) -> frozenset[str]:
        """Every class of node in the graph."""
        return frozenset(node.class_type for node in self.nodes.values())

    @property
    def models(self) -> tuple[ModelFile, ...]:
        """The model files the graph loads, sorted."""
        found = {
            ModelFile(node.class_type, name, str(node.inputs[name]))
            for node in self.nodes.values()
            for name in MODEL_INPUTS.get(node.class_type, ())
            if name in node.inputs
        }
        return tuple(sorted(found))

    @property
    def model(self) -> str:
        """The file that names the picture's model: the checkpoint or diffusion model."""
        main = ("CheckpointLoaderSimple", "UNETLoader")
        names = [found.name for found in self.models if found.class_type in main]
        return ", ".join(names)

    def weight(self, node: str) -> float:
        """How much of the whole work this node is, relative to the others; 0 if not ours."""
        found = self.nodes.get(node)
        return _WEIGHTS.get(found.class_type, 1.0) if found is not None else 0.0


class WorkflowError(ValueError):
    """The workflow has defects; `.defects` lists field and reason of each."""

    def __init__(self, defects: Sequence[tuple[str, str]]) -> None:
        self.defects = tuple(defects)
        super().__init__("; ".join(f"{field}: {reason}" for field, reason in self.defects))


def parse_workflow(
    name: str,
    document: object,
    targets: Mapping[str, tuple[Target, ...]],
    output_node: str,
) -> Workflow:
    """Return a workflow all of whose nodes are allowed and all of whose references hold.

    Raises WorkflowError with every defect: field within the workflow file (`9.inputs.images`) or
    within the output config (`slots.width`, `workflow.output_node`).
    """
    defects: list[tuple[str, str]] = []
    nodes = _parse_nodes(document, defects)
    for key, node in nodes.items():
        _check_node(key, node, nodes, defects)
    for slot, wanted in targets.items():
        _check_targets(f"slots.{slot}", wanted, nodes, defects)
    for slot in ("prompt", "seed"):
        if slot not in targets:
            defects.append((f"slots.{slot}", "missing"))
    _check_output(output_node, nodes, defects)
    if defects:
        raise WorkflowError(defects)
    return Workflow(name, nodes, dict(targets), output_node)


def _parse_nodes(document: object, defects: list[tuple[str, str]]) -> dict[str, Node]:
    if not isinstance(document, dict) or not document:
        defects.append(("", "expected a graph in API format: {node id: {class_type, inputs}}"))
        return {}
    if isinstance(document.get("nodes"), list):
        defects.append(("", "this is the editor's format; export it in API format"))
        return {}
    if len(document) > MAX_NODES:
        defects.append(("", f"more than {MAX_NODES} nodes"))
        return {}
    nodes: dict[str, Node] = {}
    for key, value in document.items():
        if not isinstance(key, str) or not isinstance(value, dict):
            defects.append((str(key), "expected {class_type, inputs}"))
            continue
        class_type, inputs = value.get("class_type"), value.get("inputs")
        if not isinstance(class_type, str) or not isinstance(inputs, dict):
            defects.append((key, "expected class_type (text) and inputs (object)"))
            continue
        nodes[key] = Node(class_type, inputs)
    return nodes


def _check_node(
    key: str, node: Node, nodes: Mapping[str, Node], defects: list[tuple[str, str]]
) -> None:
    if node.class_type not in ALLOWED_CLASS_TYPES:
        defects.append((f"{key}.class_type", f"{node.class_type[:80]} is not an allowed node"))
    for name, value in node.inputs.items():
        field = f"{key}.inputs.{name}"
        if isinstance(value, list):
            _check_link(field, value, nodes, defects)
        elif not isinstance(value, (str, int, float, bool)):
            defects.append((field, "expected a link or a plain value"))
        elif isinstance(value, float) and value - value != 0:
            defects.append((field, "not a finite number"))
        elif name == PREFIX_INPUT and _leaves_output(value):
            defects.append((field, "leaves the output folder"))
        elif name == "batch_size" and value != 1:
            defects.append((field, "one output per config: expected 1"))


def _check_link(
    field: str, value: list[object], nodes: Mapping[str, Node], defects: list[tuple[str, str]]
) -> None:
    source, slot = value if len(value) == 2 else (None, None)
    if not isinstance(source, str) or type(slot) is not int or slot < 0:
        defects.append((field, "expected a link [node id, output slot]"))
    elif source not in nodes:
        defects.append((field, f"there is no node {source[:40]}"))


def _leaves_output(prefix: object) -> bool:
    if not isinstance(prefix, str):
        return True
    parts = prefix.replace("\\", "/").split("/")
    return parts[0] == "" or ".." in parts or ":" in parts[0]


def _check_targets(
    field: str,
    targets: tuple[Target, ...],
    nodes: Mapping[str, Node],
    defects: list[tuple[str, str]],
) -> None:
    if not targets:
        defects.append((field, "sets no input"))
    for target in targets:
        node = nodes.get(target.node)
        if node is None:
            defects.append((field, f"there is no node {target.node}"))
        elif target.input not in node.inputs:
            defects.append((field, f"node {target.node} has no input {target.input}"))
        elif isinstance(node.inputs[target.input], list):
            defects.append((field, f"{target.node}.{target.input} is a link"))
        elif target.input == PREFIX_INPUT:
            defects.append((field, f"{PREFIX_INPUT} is set by us"))
        elif target.input in MODEL_INPUTS.get(node.class_type, ()):
            defects.append((field, "model files are not for requests to choose"))
        elif target.input == "batch_size":
            defects.append((field, "one output per config"))


def _check_output(
    output_node: str, nodes: Mapping[str, Node], defects: list[tuple[str, str]]
) -> None:
    field = "workflow.output_node"
    node = nodes.get(output_node)
    if node is None:
        defects.append((field, f"there is no node {output_node}"))
    elif node.class_type not in SAVERS:
        defects.append((field, f"{node.class_type[:80]} saves no output"))
    elif PREFIX_INPUT not in node.inputs:
        defects.append((field, f"node {output_node} has no {PREFIX_INPUT}"))
