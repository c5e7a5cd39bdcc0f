"""Writes a graph in API format the way ComfyUI's editor saves it: values by position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.media.domain.graph import link_of
from services.media.domain.node_definition import Definitions, InputDefinition

Graph = Mapping[str, Mapping[str, Any]]


def editor_document(graph: Graph, definitions: Definitions) -> dict[str, Any]:
    """The file of the editor; ids of nodes are whole numbers there."""
    links: list[list[Any]] = []
    nodes = []
    for key, node in graph.items():
        definition = definitions[node["class_type"]]
        sockets: list[dict[str, Any]] = []
        for name, value in node["inputs"].items():
            link = link_of(value)
            if link is None:
                continue
            kind = definition.inputs[name].type
            number = len(links) + 1
            links.append([number, int(link[0]), link[1], int(key), len(sockets), kind])
            sockets.append({"name": name, "type": kind, "link": number})
        outputs = [{"name": kind, "type": kind, "links": []} for kind in definition.outputs]
        nodes.append(
            {
                "id": int(key),
                "type": node["class_type"],
                "mode": 0,
                "inputs": sockets,
                "outputs": outputs,
                "widgets_values": _values(node["inputs"], list(definition.inputs.values())),
                "title": node.get("_meta", {}).get("title"),
            }
        )
    return {"version": 0.4, "nodes": nodes, "links": links}


def _values(inputs: Mapping[str, Any], waiting: list[InputDefinition]) -> list[Any]:
    values: list[Any] = []
    while waiting:
        spec = waiting.pop(0)
        if not spec.widget:
            continue
        value = inputs.get(spec.name, spec.default)
        values.append(spec.default if isinstance(value, list) else value)
        if spec.controlled:
            values.append("randomize")
        if spec.upload:
            values.append("image")
        for one in (spec.branches or {}).get(str(value), ()):
            waiting.insert(0, replace(one, name=f"{spec.name}.{one.name}"))
    return values


def node_of(document: Mapping[str, Any], key: int) -> Any:
    """One node of the document."""
    return next(node for node in document["nodes"] if node["id"] == key)


def add_between(document: Any, link: int, node: dict[str, Any], kind: str) -> None:
    """Put a node with one input into a link: the link ends there, a new one goes on."""
    old = next(one for one in document["links"] if one[0] == link)
    further = max(one[0] for one in document["links"]) + 1
    document["links"].append([further, node["id"], 0, old[3], old[4], kind])
    for socket in node_of(document, old[3])["inputs"]:
        if socket["link"] == link:
            socket["link"] = further
    old[3], old[4] = node["id"], 0
    node.setdefault("inputs", [{"name": "", "type": kind, "link": link}])
    node.setdefault("outputs", [{"name": "", "type": kind, "links": [further]}])
    document["nodes"].append(node)
