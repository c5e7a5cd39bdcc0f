"""ComfyUI workflows as data: a graph in API format and the inputs our slots set in it. Pure.

The prompt and every other value enter the graph as values, never as text spliced into JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.media.domain.allowed_node import AllowedNode, AllowedNodes
from services.media.domain.graph import (
    BATCH_INPUT,
    PREFIX_INPUT,
    Defects,
    Node,
    link_of,
    parse_graph,
)
from services.media.domain.lora import parse_loras
from services.media.domain.output_config import MediaKind, Slot, Value

# Where a graph names the model that makes the picture, sound or film.
MAIN_MODEL_INPUTS: Mapping[str, str] = {
    "CheckpointLoaderSimple": "ckpt_name",
    "UNETLoader": "unet_name",
}
LORA_LOADER = "LoraLoaderModelOnly"
# What such a node leaves stands in the history and is no file.
TEXT = "text"
_UNKNOWN = AllowedNode()


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One input of one node."""

    node: str
    input: str


@dataclass(frozen=True, slots=True, order=True)
class ModelFile:
    """A file the instance must have: the loader's class, its input, the name, its folder."""

    class_type: str
    input: str
    name: str
    folder: str


@dataclass(frozen=True, slots=True)
class Workflow:
    """A graph, where our slots go, and the nodes whose files, in this order, are the output.

    `targets` holds every slot of the config plus `prompt` and `seed`, but the LoRAs': the targets
    of those are inputs to be linked, in `lora_slots` together with the slot itself.
    """

    name: str
    nodes: Mapping[str, Node]
    targets: Mapping[str, tuple[Target, ...]]
    output_nodes: tuple[str, ...]
    allowed: AllowedNodes = field(repr=False)
    lora_slots: Mapping[str, tuple[Slot, tuple[Target, ...]]] = field(default_factory=dict)

    def chained(self, values: Mapping[str, Value]) -> Workflow:
        """Return the workflow with the LoRAs that were chosen in front of what their slots name."""
        nodes = dict(self.nodes)
        for name, (slot, targets) in self.lora_slots.items():
            chosen = parse_loras(str(values[name]), slot)
            for target in targets:
                link = nodes[target.node].inputs[target.input]
                for position, (lora, strength) in enumerate(chosen, 1):
                    key = f"{name}-{target.node}-{target.input}-{position}"
                    inputs = {
                        "model": link,
                        "lora_name": slot.loras[lora].file,
                        "strength_model": strength,
                    }
                    nodes[key] = Node(LORA_LOADER, inputs)
                    link = [key, 0]
                inputs_of = {**nodes[target.node].inputs, target.input: link}
                nodes[target.node] = replace(nodes[target.node], inputs=inputs_of)
        return replace(self, nodes=nodes, lora_slots={})

    def fill(
        self,
        *,
        prompt: str,
        seed: int,
        values: Mapping[str, Value],
        prefix: str,
        images: Mapping[str, str] | None = None,
    ) -> dict[str, dict[str, object]]:
        """Return the graph to submit: every slot set, every file under our own prefix.

        `images` are the names the instance gave to the pictures of the image slots.
        """
        graph: dict[str, dict[str, object]] = {}
        inputs_of: dict[str, dict[str, object]] = {}
        for key, node in self.chained(values).nodes.items():
            inputs = inputs_of[key] = dict(node.inputs)
            if PREFIX_INPUT in inputs:
                inputs[PREFIX_INPUT] = prefix
            graph[key] = {"class_type": node.class_type, "inputs": inputs}
        given: dict[str, Value] = {**values, **(images or {}), "prompt": prompt, "seed": seed}
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
            ModelFile(node.class_type, name, str(node.inputs[name]), folder)
            for node in self.nodes.values()
            for name, folder in self.allowed.get(node.class_type, _UNKNOWN).models.items()
            if name in node.inputs
        }
        return tuple(sorted(found))

    @property
    def model(self) -> str:
        """The files that name the model of the output: checkpoint or diffusion models."""
        names = [found.name for found in self.models if found.class_type in MAIN_MODEL_INPUTS]
        return ", ".join(names)

    @property
    def makes_text(self) -> bool:
        """Whether its output stands in the history and is no file."""
        classes = [self.nodes[key].class_type for key in self.output_nodes]
        return all(self.allowed.get(name, _UNKNOWN).saves == (TEXT,) for name in classes)

    def title(self, node: str) -> str:
        """What a node does and which one it is, `KSampler 3`; its id when it is not ours."""
        found = self.nodes.get(node)
        return f"{found.class_type} {node}" if found is not None else node

    def weight(self, node: str) -> float:
        """How much of the whole work this node is, relative to the others; 0 if not ours."""
        found = self.nodes.get(node)
        return self.allowed.get(found.class_type, _UNKNOWN).weight if found is not None else 0.0

    def loads_model(self, node: str) -> bool:
        """Whether this node loads a model file."""
        found = self.nodes.get(node)
        return found is not None and bool(self.allowed.get(found.class_type, _UNKNOWN).models)


class WorkflowError(ValueError):
    """The workflow has defects; `.defects` lists field and reason of each."""

    def __init__(self, defects: Sequence[tuple[str, str]]) -> None:
        self.defects = tuple(defects)
        super().__init__("; ".join(f"{field}: {reason}" for field, reason in self.defects))


def parse_workflow(
    name: str,
    document: object,
    targets: Mapping[str, tuple[Target, ...]],
    output_nodes: str | Sequence[str],
    allowed: AllowedNodes,
    *,
    slots: Mapping[str, Slot] | None = None,
    kind: MediaKind | None = None,
) -> Workflow:
    """Return a workflow all of whose nodes are allowed and all of whose references hold.

    `slots` are those of the config, without prompt and seed; `kind` is what it makes.
    Raises WorkflowError with every defect: field within the workflow file (`9.inputs.images`) or
    within the output config (`slots.width`, `workflow.output_node`).
    """
    defects: Defects = []
    slots = slots or {}
    nodes = parse_graph(document, allowed, defects)
    for slot, wanted in targets.items():
        _check_targets(slot, slots.get(slot), wanted, nodes, allowed, defects)
    for slot in ("prompt", "seed"):
        if slot not in targets:
            defects.append((f"slots.{slot}", "missing"))
    _check_uploads(nodes, targets, slots, allowed, defects)
    outputs = (output_nodes,) if isinstance(output_nodes, str) else tuple(output_nodes)
    if len(set(outputs)) != len(outputs):
        defects.append(("workflow.output_node", "a node twice"))
    for output_node in outputs:
        _check_output(output_node, kind, nodes, allowed, defects)
    if defects:
        raise WorkflowError(defects)
    loras = {key: (slot, targets[key]) for key, slot in slots.items() if slot.kind == "loras"}
    plain = {key: found for key, found in targets.items() if key not in loras}
    return Workflow(name, nodes, plain, outputs, allowed, loras)


def _check_targets(
    name: str,
    slot: Slot | None,
    targets: tuple[Target, ...],
    nodes: Mapping[str, Node],
    allowed: AllowedNodes,
    defects: Defects,
) -> None:
    field = f"slots.{name}"
    kind = slot.kind if slot is not None else None
    if not targets:
        defects.append((field, "sets no input"))
    if kind == "loras" and LORA_LOADER not in allowed:
        defects.append((field, f"{LORA_LOADER} is not an allowed node"))
    for target in targets:
        node = nodes.get(target.node)
        if node is None:
            defects.append((field, f"there is no node {target.node}"))
            continue
        known = allowed.get(node.class_type, _UNKNOWN)
        linked = link_of(node.inputs.get(target.input)) is not None
        if target.input not in node.inputs:
            defects.append((field, f"node {target.node} has no input {target.input}"))
        elif linked != (kind == "loras"):
            reason = "is a link" if linked else "is no link to a model"
            defects.append((field, f"{target.node}.{target.input} {reason}"))
        elif target.input == PREFIX_INPUT:
            defects.append((field, f"{PREFIX_INPUT} is set by us"))
        elif target.input in known.models:
            defects.append((field, "model files are not for requests to choose"))
        elif target.input == BATCH_INPUT:
            defects.append((field, "one output per config"))
        elif kind == "image" and target.input not in known.uploads:
            defects.append((field, f"{target.node}.{target.input} takes no picture"))


def _check_uploads(
    nodes: Mapping[str, Node],
    targets: Mapping[str, tuple[Target, ...]],
    slots: Mapping[str, Slot],
    allowed: AllowedNodes,
    defects: Defects,
) -> None:
    ours = {
        target
        for name, found in targets.items()
        if name in slots and slots[name].kind == "image"
        for target in found
    }
    for key, node in nodes.items():
        for name in allowed.get(node.class_type, _UNKNOWN).uploads:
            if name in node.inputs and Target(key, name) not in ours:
                reason = "names a file of the instance: only a slot of kind image sets it"
                defects.append((f"{key}.inputs.{name}", reason))


def _check_output(
    output_node: str,
    kind: MediaKind | None,
    nodes: Mapping[str, Node],
    allowed: AllowedNodes,
    defects: Defects,
) -> None:
    field = "workflow.output_node"
    node = nodes.get(output_node)
    if node is None:
        defects.append((field, f"there is no node {output_node}"))
        return
    saves = allowed.get(node.class_type, _UNKNOWN).saves
    if not saves:
        defects.append((field, f"{node.class_type[:80]} saves no output"))
    elif kind is not None and kind not in saves:
        defects.append((field, f"{node.class_type[:80]} saves {' or '.join(saves)}, not {kind}"))
    elif saves != (TEXT,) and PREFIX_INPUT not in node.inputs:
        defects.append((field, f"node {output_node} has no {PREFIX_INPUT}"))
