"""Which nodes and model files an instance has, as its /object_info tells."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from services.kit.clock import Clock
from services.media.comfy.rest import Rest
from services.media.domain.workflow import ModelFile, Workflow

# What is there stays there; what lacks may be put there any moment.
KNOWN_SECONDS = 300.0
MISSING_SECONDS = 10.0


class Inventory:
    """Remembers what one instance answered, for a while."""

    def __init__(self, rest: Rest, clock: Clock) -> None:
        self._rest = rest
        self._clock = clock
        # Class of node → (answer, read at). None: there is no such node.
        self._nodes: dict[str, tuple[dict[str, Any] | None, float]] = {}

    def forget(self) -> None:
        """Ask anew: the instance may have been restarted with other nodes."""
        self._nodes.clear()

    async def lacks(self, workflow: Workflow) -> tuple[str, str] | None:
        """Return reason and sentence about the first thing that is missing; None if nothing.

        Raises Unreachable and Unanswered.
        """
        for class_type in sorted(workflow.class_types):
            if not await self._has_node(class_type):
                return "COMFY_NODE_MISSING", f"node {class_type} is missing"
        for model in workflow.models:
            if not await self._has_model(model):
                return "COMFY_MODEL_MISSING", f"model {model.name} is missing"
        return None

    async def _has_node(self, class_type: str) -> bool:
        for max_age_seconds in (KNOWN_SECONDS, MISSING_SECONDS):
            if await self._node(class_type, max_age_seconds) is not None:
                return True
        return False

    async def _has_model(self, model: ModelFile) -> bool:
        for max_age_seconds in (KNOWN_SECONDS, MISSING_SECONDS):
            names = _options(await self._node(model.class_type, max_age_seconds), model.input)
            # A node that lists nothing we can read is left to ComfyUI's own check.
            if names is None or model.name in names:
                return True
        return False

    async def _node(self, class_type: str, max_age_seconds: float) -> dict[str, Any] | None:
        now = self._clock.monotonic()
        kept = self._nodes.get(class_type)
        if kept is not None and now - kept[1] < max_age_seconds:
            return kept[0]
        found = (await self._rest.get(f"/object_info/{quote(class_type, safe='')}")).object()
        node = found.get(class_type)
        answer = node if isinstance(node, dict) else None
        self._nodes[class_type] = (answer, now)
        return answer


def _options(node: dict[str, Any] | None, name: str) -> list[str] | None:
    groups = node.get("input") if node is not None else None
    for group in ("required", "optional"):
        inputs = groups.get(group) if isinstance(groups, dict) else None
        spec = inputs.get(name) if isinstance(inputs, dict) else None
        if isinstance(spec, list) and spec:
            # [["a", "b"], {...}] or, from newer nodes, ["COMBO", {"options": ["a", "b"]}].
            values = spec[0]
            if values == "COMBO" and len(spec) > 1 and isinstance(spec[1], dict):
                values = spec[1].get("options")
            if isinstance(values, list):
                return [value for value in values if isinstance(value, str)]
    return None
