"""Do the slots of a config fit the inputs they set, by the definitions of the nodes? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.media.domain.graph import Node, link_of
from services.media.domain.graph_check import expected_inputs, types_fit
from services.media.domain.node_definition import Definitions, InputDefinition
from services.media.domain.output_config import Slot
from services.media.domain.workflow import Target, Workflow

# Types of input that take a value of a slot of this kind.
_TAKES: Mapping[str, tuple[str, ...]] = {
    "integer": ("INT", "FLOAT"),
    "number": ("FLOAT",),
    "text": ("STRING",),
    "choice": ("COMBO", "COMFY_DYNAMICCOMBO_V3", "STRING"),
    "boolean": ("BOOLEAN",),
    "image": ("COMBO",),
    "prompt": ("STRING",),
    "seed": ("INT",),
}
_MODEL = "MODEL"


def check_slots(
    workflow: Workflow, slots: Mapping[str, Slot], definitions: Definitions
) -> list[tuple[str, str]]:
    """Return field (`slots.width`) and reason of every slot that does not fit what it sets.

    Inputs of classes without definition are not judged.
    """
    found: list[tuple[str, str]] = []
    for name, targets in workflow.targets.items():
        slot = slots.get(name)
        kind = slot.kind if slot is not None else name
        if kind not in _TAKES:
            # The slot has defects of its own.
            continue
        for target in targets:
            spec = _input(workflow.nodes, target, definitions)
            if spec is None:
                continue
            where = f"{target.node}.{target.input}"
            if spec.type not in _TAKES[kind]:
                found.append((f"slots.{name}", f"{where} is {spec.type} and takes no {kind}"))
            elif slot is not None:
                reasons = _bounds(slot, spec)
                found += [(f"slots.{name}", f"{where} {reason}") for reason in reasons]
    for name, (_, targets) in workflow.lora_slots.items():
        for target in targets:
            given = _linked_type(workflow.nodes, target, definitions)
            if given is not None and not types_fit(given, _MODEL):
                where = f"{target.node}.{target.input}"
                found.append((f"slots.{name}", f"{where} is {given} and no model"))
    return found


def _bounds(slot: Slot, spec: InputDefinition) -> Iterator[str]:
    if slot.kind == "choice" and spec.choices is not None:
        unknown = [choice for choice in slot.choices if choice not in spec.choices]
        if unknown:
            yield f"has no {', '.join(unknown)}"
    if None not in (slot.minimum, spec.minimum) and slot.minimum < spec.minimum:  # type: ignore[operator]
        yield f"takes no less than {spec.minimum:g}"
    if None not in (slot.maximum, spec.maximum) and slot.maximum > spec.maximum:  # type: ignore[operator]
        yield f"takes no more than {spec.maximum:g}"


def _input(
    nodes: Mapping[str, Node], target: Target, definitions: Definitions
) -> InputDefinition | None:
    node = nodes[target.node]
    definition = definitions.get(node.class_type)
    if definition is None:
        return None
    return expected_inputs(node, definition).get(target.input)


def _linked_type(nodes: Mapping[str, Node], target: Target, definitions: Definitions) -> str | None:
    link = link_of(nodes[target.node].inputs[target.input])
    if link is None or link[0] not in nodes:
        return None
    definition = definitions.get(nodes[link[0]].class_type)
    if definition is None or link[1] >= len(definition.outputs):
        return None
    return definition.outputs[link[1]]
