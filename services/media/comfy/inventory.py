"""Whether an instance can run a workflow: its nodes, model files and their definitions."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from services.kit.clock import Clock
from services.media.comfy.rest import Rest
from services.media.domain.graph_check import TOLERATED, check_graph
from services.media.domain.node_definition import NodeDefinition, parse_definition
from services.media.domain.workflow import ModelFile, Workflow

# What is there stays there; what lacks may be put there any moment.
KNOWN_SECONDS = 300.0
MISSING_SECONDS = 10.0
_SHOWN = 5


class Inventory:
    """Remembers what one instance answered, for a while."""

    def __init__(self, rest: Rest, clock: Clock) -> None:
        self._rest = rest
        self._clock = clock
        # Class of node → (definition, read at). None: there is no such node.
        self._nodes: dict[str, tuple[NodeDefinition | None, float]] = {}

    def forget(self) -> None:
        """Ask anew: the instance may have been restarted with other nodes."""
        self._nodes.clear()

    async def lacks(self, workflow: Workflow) -> tuple[str, str] | None:
        """Return reason and sentence about what keeps it from running here; None if nothing.

        Missing nodes come before missing models, these before inputs that do not fit.
        Raises Unreachable and Unanswered.
        """
        classes = sorted(workflow.class_types)
        missing = [name for name in classes if not await self._has_node(name)]
        if missing:
            return "COMFY_NODE_MISSING", _missing("node", missing)
        gone = [found for found in workflow.models if not await self._has_model(found)]
        if gone:
            names = dict.fromkeys(found.name for found in gone)
            return "COMFY_MODEL_MISSING", _missing("model", list(names))
        definitions = {
            name: kept[0]
            for name in classes
            if (kept := self._nodes.get(name)) is not None and kept[0] is not None
        }
        for defect in check_graph(workflow.nodes, definitions, partial=True):
            if defect.kind not in TOLERATED:
                where = f"{defect.field} of {workflow.name}" if defect.field else workflow.name
                return "COMFY_WORKFLOW_UNFIT", f"{where} does not fit: {defect.reason}"
        return None

    async def _has_node(self, class_type: str) -> bool:
        for max_age_seconds in (KNOWN_SECONDS, MISSING_SECONDS):
            if await self._node(class_type, max_age_seconds) is not None:
                return True
        return False

    async def _has_model(self, model: ModelFile) -> bool:
        for max_age_seconds in (KNOWN_SECONDS, MISSING_SECONDS):
            node = await self._node(model.class_type, max_age_seconds)
            spec = node.inputs.get(model.input) if node is not None else None
            # A node that lists nothing we can read is left to ComfyUI's own check.
            if spec is None or spec.choices is None or model.name in spec.choices:
                return True
        return False

    async def _node(self, class_type: str, max_age_seconds: float) -> NodeDefinition | None:
        now = self._clock.monotonic()
        kept = self._nodes.get(class_type)
        if kept is not None and now - kept[1] < max_age_seconds:
            return kept[0]
        found = (await self._rest.get(f"/object_info/{quote(class_type, safe='')}")).object()
        definition = parse_definition(class_type, found.get(class_type))
        self._nodes[class_type] = (definition, now)
        return definition


def _missing(what: str, names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return f"{what}s {shown} are missing" if len(names) > 1 else f"{what} {shown} is missing"
