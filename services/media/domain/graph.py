"""A ComfyUI graph in API format: {node id: {class_type, inputs}}. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from services.media.domain.allowed_node import AllowedNodes

PREFIX_INPUT = "filename_prefix"
BATCH_INPUT = "batch_size"
MAX_NODES = 300

# Field within the workflow file (`9.inputs.images`), and what is wrong with it.
Defects = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the graph. An input is a literal or a link `[node id, output slot]`."""

    class_type: str
    inputs: Mapping[str, object]


def link_of(value: object) -> tuple[str, int] | None:
    """Return node id and output slot of a link; None for what is none."""
    if isinstance(value, list) and len(value) == 2:
        source, slot = value
        if isinstance(source, str) and type(slot) is int and slot >= 0:
            return source, slot
    return None


def links_of(node: Node) -> Iterator[tuple[str, tuple[str, int]]]:
    """Every linked input: its name, and where it comes from."""
    for name, value in node.inputs.items():
        link = link_of(value)
        if link is not None:
            yield name, link


def upstream(nodes: Mapping[str, Node], start: str) -> dict[str, None]:
    """Every node `start` needs, itself first, nearest first."""
    found: dict[str, None] = {}
    waiting = [start]
    while waiting:
        key = waiting.pop(0)
        if key not in found and key in nodes:
            found[key] = None
            waiting += [source for _, (source, _) in links_of(nodes[key])]
    return found


def is_editor_format(document: object) -> bool:
    """Whether this is what the editor saves, not what its API export does."""
    return isinstance(document, dict) and isinstance(document.get("nodes"), list)


def parse_graph(document: object, allowed: AllowedNodes, defects: Defects) -> dict[str, Node]:
    """Return the nodes of a graph; add to `defects` whatever we would not submit."""
    nodes = _parse_nodes(document, defects)
    for key, node in nodes.items():
        _check_node(key, node, nodes, allowed, defects)
    return nodes


def _parse_nodes(document: object, defects: Defects) -> dict[str, Node]:
    if not isinstance(document, dict) or not document:
        defects.append(("", "expected a graph in API format: {node id: {class_type, inputs}}"))
        return {}
    if is_editor_format(document):
        reason = "this is the editor's format; `artlab workflow import` converts it"
        defects.append(("", reason))
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
    key: str, node: Node, nodes: Mapping[str, Node], allowed: AllowedNodes, defects: Defects
) -> None:
    if node.class_type not in allowed:
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
            defects.append((field, f"leaves the output folder: {PREFIX_INPUT} is set by us"))
        elif name == BATCH_INPUT and value != 1:
            defects.append((field, "one output per config: expected 1"))


def _check_link(
    field: str, value: list[object], nodes: Mapping[str, Node], defects: Defects
) -> None:
    link = link_of(value)
    if link is None:
        defects.append((field, "expected a link [node id, output slot]"))
    elif link[0] not in nodes:
        defects.append((field, f"there is no node {link[0][:40]}"))


def _leaves_output(prefix: object) -> bool:
    if not isinstance(prefix, str):
        return True
    parts = prefix.replace("\\", "/").split("/")
    return parts[0] == "" or ".." in parts or ":" in parts[0]
