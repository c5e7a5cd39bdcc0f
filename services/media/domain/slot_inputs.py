"""Finds in a graph the inputs that slots of a config would set, by what the nodes are. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from services.media.domain.allowed_node import AllowedNodes
from services.media.domain.graph import Node, link_of
from services.media.domain.node_definition import Definitions, InputDefinition, NodeDefinition
from services.media.domain.workflow import Target

_CONDITIONING, _LATENT, _SIGMAS, _IMAGE, _GUIDER = (
    "CONDITIONING",
    "LATENT",
    "SIGMAS",
    "IMAGE",
    "GUIDER",
)
# Name of an input → name of its slot, wherever the node makes what is sampled or samples it.
_BY_NAME: Mapping[str, str] = {
    "seed": "seed",
    "noise_seed": "seed",
    "steps": "steps",
    "cfg": "cfg",
    "guidance": "guidance",
    "sampler_name": "sampler",
    "scheduler": "scheduler",
    "denoise": "denoise",
    "width": "width",
    "height": "height",
    "length": "frames",
    "fps": "fps",
    "frame_rate": "fps",
    "seconds": "seconds",
    "seconds_total": "seconds",
    "lyrics": "lyrics",
}
_SIZES = ("width", "height", "frames")
_BLANKS = ("ConditioningZeroOut",)
_PARTS = ("start_at_step", "end_at_step")
_LYRICS = "lyrics"


@dataclass(frozen=True, slots=True)
class Found:
    """An input a slot would set: where, its value now, its definition."""

    target: Target
    value: object
    spec: InputDefinition


class SlotInputs:
    """What a graph offers to slots. Every node must have a definition."""

    def __init__(
        self, nodes: Mapping[str, Node], definitions: Definitions, allowed: AllowedNodes
    ) -> None:
        self._nodes, self._definitions, self._allowed = nodes, definitions, allowed
        self._known = {key: definitions[node.class_type] for key, node in nodes.items()}

    def texts(self) -> tuple[list[Found], list[Found]]:
        """Inputs for the prompt, and those for what is not wanted."""
        wanted = self._texts_behind("positive", "conditioning")
        unwanted = self._texts_behind("negative")
        places = [found.target for found in wanted]
        return wanted, [found for found in unwanted if found.target not in places]

    def named(self) -> dict[str, list[Found]]:
        """Inputs by the slot that would set them; seeds that add no noise are left out."""
        slots: dict[str, list[Found]] = {}
        for key, definition in self._known.items():
            for name, spec in definition.inputs.items():
                slot = _BY_NAME.get(name)
                if slot is None or not self._belongs(key, slot, definition):
                    continue
                found = self._literal(key, spec)
                if found is not None and found.target not in _targets(slots.get(slot, [])):
                    slots.setdefault(slot, []).append(found)
        return slots

    def pictures(self) -> list[Found]:
        """Inputs that name a picture to be sent along."""
        return [
            Found(Target(key, name), node.inputs[name], self._known[key].inputs[name])
            for key, node in self._nodes.items()
            for name in self._allowed[node.class_type].uploads
            if name in node.inputs
        ]

    def parts_of_steps(self) -> list[str]:
        """Samplers that make only some of the steps: those shares would not follow a slot."""
        return [
            key
            for key, node in self._nodes.items()
            if any(name in self._known[key].inputs for name in _PARTS) and not _makes_all(node)
        ]

    def _belongs(self, key: str, slot: str, definition: NodeDefinition) -> bool:
        inputs = self._nodes[key].inputs
        if slot == "seed":
            return inputs.get("add_noise") not in ("disable", False)
        if slot in _SIZES:
            makes = set(definition.outputs)
            return bool(makes & {_LATENT, _SIGMAS}) and _IMAGE not in makes
        return True

    def _texts_behind(self, *names: str) -> list[Found]:
        found: dict[Target, Found] = {}
        for key, definition in self._known.items():
            if _IMAGE in definition.outputs or not set(definition.outputs) & {_LATENT, _GUIDER}:
                continue
            for name in names:
                spec = definition.inputs.get(name)
                link = link_of(self._nodes[key].inputs.get(name))
                # Nodes between encoder and sampler hand both on; the sampler is what counts.
                if spec is None or spec.type != _CONDITIONING or link is None:
                    continue
                if _CONDITIONING not in definition.outputs:
                    found |= {one.target: one for one in self._encoders(link, set())}
        return list(found.values())

    def _encoders(self, link: tuple[str, int], seen: set[tuple[str, int]]) -> Iterator[Found]:
        if link in seen or link[0] not in self._nodes:
            return
        seen.add(link)
        key, slot = link
        node, definition = self._nodes[key], self._known[key]
        texts = [
            spec
            for name, spec in definition.inputs.items()
            if spec.type == "STRING" and spec.multiline and name != _LYRICS and spec.widget
        ]
        if texts:
            yield from (found for spec in texts if (found := self._literal(key, spec)))
            return
        if node.class_type in _BLANKS:
            return
        names = [n for n, spec in definition.inputs.items() if spec.type == _CONDITIONING]
        same = definition.output_names[slot] if slot < len(definition.output_names) else ""
        for name in [same] if same in names else names:
            further = link_of(node.inputs.get(name))
            if further is not None:
                yield from self._encoders(further, seen)

    def _literal(self, key: str, spec: InputDefinition) -> Found | None:
        """The input itself, or the primitive it is linked to; None where a node computes it."""
        target = Target(key, spec.name)
        value = self._nodes[key].inputs.get(spec.name)
        link = link_of(value)
        if link is not None:
            source = self._nodes.get(link[0])
            if source is None or not source.class_type.startswith("Primitive"):
                return None
            target, value = Target(link[0], "value"), source.inputs.get("value")
            if link_of(value) is not None:
                return None
        return None if value is None else Found(target, value, spec)


def _targets(found: list[Found]) -> list[Target]:
    return [one.target for one in found]


def _makes_all(node: Node) -> bool:
    end, steps = node.inputs.get("end_at_step"), node.inputs.get("steps")
    if node.inputs.get("start_at_step", 0) != 0:
        return False
    return not (isinstance(end, int) and isinstance(steps, int)) or end >= steps
