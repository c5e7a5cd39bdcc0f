"""Facts about a graph in API format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def meta(key: str) -> dict[str, Any]:
    """The entry of a node in the history's meta."""
    return {"node_id": key, "display_node": key, "parent_node": None, "real_node_id": key}


def signature(graph: Mapping[str, Any], key: str) -> str:
    """What the cache knows a node by: its class and everything upstream."""
    node = graph[key]
    inputs = {
        name: [signature(graph, value[0]), value[1]] if isinstance(value, list) else value
        for name, value in node["inputs"].items()
    }
    return json.dumps([node["class_type"], inputs], sort_keys=True)


def literals(graph: Mapping[str, Any], *names: str) -> list[int]:
    """Plain numbers under these names anywhere in the graph."""
    return [
        int(value)
        for node in graph.values()
        for name, value in node["inputs"].items()
        if name in names and isinstance(value, (int, float))
    ]


def steps_of(graph: Mapping[str, Any], key: str) -> int:
    """How many ticks a sampler makes."""
    own = graph[key]["inputs"].get("steps")
    if isinstance(own, int):
        return own
    return max([1, *literals(graph, "steps", "batch_size")])
