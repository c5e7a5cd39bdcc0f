"""What the websocket tells about one job, folded into one honest fraction."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from services.media.domain.workflow import Workflow

_ENDINGS = {"execution_success", "execution_error", "execution_interrupted"}


class JobWatch:
    """The latest state of one job; events overwrite it, so a slow reader costs no memory.

    `ended` is a hint only: the history decides.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.changed = asyncio.Event()
        self.ended = False
        self.started = False
        self.node = ""
        # What it told of its ending, for when the history has forgotten the job already.
        self.succeeded = False
        self.outputs: dict[str, Any] = {}
        self._workflow = workflow
        self._total = sum(workflow.weight(node) for node in workflow.nodes) or 1.0
        self._done: set[str] = set()
        self._parts: dict[str, float] = {}
        self._fraction = 0.0

    @property
    def fraction(self) -> float:
        """0.0 to 1.0 of the nodes and sampler steps, by weight; never goes back."""
        done = sum(self._workflow.weight(node) for node in self._done)
        part = sum(
            self._workflow.weight(node) * share
            for node, share in self._parts.items()
            if node not in self._done
        )
        self._fraction = max(self._fraction, min(1.0, (done + part) / self._total))
        return self._fraction

    def see(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take in one event of this job."""
        if kind in _ENDINGS:
            # An error of one blocked branch is not the end of the job; the history knows.
            self.ended = True
            self.succeeded = kind == "execution_success"
        elif kind == "executed":
            if _known(data.get("node")):
                self.outputs[str(data["node"])] = data.get("output")
        elif kind == "executing":
            self._executing(data.get("node"))
        elif kind == "execution_cached":
            nodes = data.get("nodes")
            self._done.update(n for n in (nodes if isinstance(nodes, list) else []) if _known(n))
        elif kind == "progress":
            self._part(data.get("node"), data)
        elif kind == "progress_state":
            nodes = data.get("nodes")
            for key, state in (nodes if isinstance(nodes, dict) else {}).items():
                if isinstance(state, dict):
                    self._part(key, state)
        self.started = True
        self.changed.set()

    def _executing(self, node: object) -> None:
        if node is None:
            self.ended = True
        elif _known(node):
            self.node = str(node).split(".", 1)[0]

    def _part(self, node: object, state: Mapping[str, Any]) -> None:
        if not _known(node):
            return
        value, most = state.get("value"), state.get("max")
        if state.get("state") == "finished":
            self._done.add(str(node))
        elif isinstance(value, (int, float)) and isinstance(most, (int, float)) and most > 0:
            share = value / most
            # NaN fails both comparisons.
            if 0.0 <= share <= 1.0:
                self._parts[str(node)] = share


def _known(node: object) -> bool:
    # Nodes that a node expands into are called "5.0.0.1": they count as their origin's work.
    return isinstance(node, str) and len(node) <= 80
