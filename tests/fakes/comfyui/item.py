"""One prompt in the queue, and how far it is once it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(order=True)
class Item:
    """One prompt in the queue; ordered by number, then id, as ComfyUI's heap is."""

    number: float
    prompt_id: str
    graph: dict[str, Any] = field(compare=False)
    extra: dict[str, Any] = field(compare=False)
    outputs: list[str] = field(compare=False)

    def as_json(self) -> list[Any]:
        return [self.number, self.prompt_id, self.graph, self.extra, self.outputs]


@dataclass
class Run:
    item: Item
    sid: str | None
    at: str = ""
    executed: list[str] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)

    def about(self, key: str, **data: Any) -> dict[str, Any]:
        return {"node": key, "display_node": key, **data, "prompt_id": self.item.prompt_id}


def node_state(run: Run, key: str, value: float, most: float, state: str) -> dict[str, Any]:
    return {
        "value": value,
        "max": most,
        "state": state,
        "node_id": key,
        "prompt_id": run.item.prompt_id,
        "display_node_id": key,
        "parent_node_id": None,
        "real_node_id": key,
    }
