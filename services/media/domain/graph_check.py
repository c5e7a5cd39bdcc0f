"""Is a graph one that a ComfyUI with these node definitions runs, as it stands? Pure.

Stricter than ComfyUI itself: it takes "64" for a number, ignores inputs it does not know and
nodes that no output needs; in a workflow of ours each of these is a mistake.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from services.media.domain.graph import Node, link_of, links_of
from services.media.domain.node_definition import (
    COMBO,
    Definitions,
    InputDefinition,
    NodeDefinition,
)

_ANY = ("*", "COMFY_MATCHTYPE_V3")
_SHOWN_CHOICES = 8
# Mistakes that do not keep ComfyUI from running the graph.
TOLERATED = frozenset({"unknown_input", "invalid_input_type"})


@dataclass(frozen=True, slots=True, order=True)
class GraphDefect:
    """One thing that is wrong. `kind` is ComfyUI's own name for it where it has one.

    `input` is empty when it is the node as a whole.
    """

    node: str
    input: str
    kind: str
    reason: str

    @property
    def field(self) -> str:
        """Where it is within the workflow file."""
        return f"{self.node}.inputs.{self.input}" if self.input else self.node


def check_graph(
    nodes: Mapping[str, Node], definitions: Definitions, *, partial: bool = False
) -> list[GraphDefect]:
    """Return every defect of a graph, sorted; none means it will be accepted.

    With `partial` classes without definition are left to the instance that has them: neither
    they nor the links to and from them are judged.
    """
    found: list[GraphDefect] = []
    for key, node in nodes.items():
        definition = definitions.get(node.class_type)
        if definition is not None:
            found += _check_node(key, node, definition, nodes, definitions)
        elif not partial:
            reason = f"there is no node {node.class_type[:80]}"
            found.append(GraphDefect(key, "", "missing_node_type", reason))
    found += _cycles(nodes)
    known = [definitions.get(node.class_type) for node in nodes.values()]
    unknown = partial and None in known
    if not unknown and not any(one is not None and one.is_output for one in known):
        found.append(GraphDefect("", "", "prompt_no_outputs", "no node saves an output"))
    return sorted(found)


def types_fit(given: str, wanted: str) -> bool:
    """Whether an output of this type may be linked to an input of that; `A,B` means either."""
    if given == wanted or given in _ANY or wanted in _ANY:
        return True
    return bool(_alternatives(given) & _alternatives(wanted))


def _alternatives(types: str) -> set[str]:
    return {one.strip() for one in types.split(",")}


def _check_node(
    key: str,
    node: Node,
    definition: NodeDefinition,
    nodes: Mapping[str, Node],
    definitions: Definitions,
) -> Iterator[GraphDefect]:
    expected = expected_inputs(node, definition)
    for name, spec in expected.items():
        if name not in node.inputs:
            if spec.required and not (spec.grows and spec.branches is None):
                yield GraphDefect(key, name, "required_input_missing", "missing")
        elif isinstance(node.inputs[name], list):
            yield from _check_link(key, spec, node.inputs[name], nodes, definitions)
        else:
            yield from _check_value(key, spec, node.inputs[name])
    growing = [name for name, spec in definition.inputs.items() if spec.grows]
    for name in node.inputs:
        if name in expected:
            continue
        parent = definition.inputs.get(name.partition(".")[0])
        if parent is not None and parent.name in growing and parent.branches is None:
            continue
        reason = f"{node.class_type} has no such input"
        yield GraphDefect(key, name, "unknown_input", reason)


def expected_inputs(node: Node, definition: NodeDefinition) -> dict[str, InputDefinition]:
    """Every input this node may have, with those that follow from its dynamic choices."""
    expected: dict[str, InputDefinition] = {}
    waiting = list(definition.inputs.items())
    while waiting:
        name, spec = waiting.pop(0)
        expected[name] = spec
        chosen = node.inputs.get(name)
        if spec.branches and isinstance(chosen, str):
            following = spec.branches.get(chosen, ())
            flat = [replace(one, name=f"{name}.{one.name}") for one in following]
            waiting = [(one.name, one) for one in flat] + waiting
    return expected


def _check_link(
    key: str,
    spec: InputDefinition,
    value: object,
    nodes: Mapping[str, Node],
    definitions: Definitions,
) -> Iterator[GraphDefect]:
    link = link_of(value)
    if link is None:
        reason = "expected a link [node id, output slot]"
        yield GraphDefect(key, spec.name, "bad_linked_input", reason)
        return
    source, slot = link
    if source not in nodes:
        reason = f"there is no node {source[:40]}"
        yield GraphDefect(key, spec.name, "dangling_link", reason)
        return
    definition = definitions.get(nodes[source].class_type)
    if definition is None:
        return
    if slot >= len(definition.outputs):
        reason = f"node {source} has {len(definition.outputs)} outputs, this is its {slot}."
        yield GraphDefect(key, spec.name, "dangling_link", reason)
    elif not types_fit(definition.outputs[slot], spec.type):
        reason = f"{definition.outputs[slot]} of node {source} does not fit {spec.type}"
        yield GraphDefect(key, spec.name, "return_type_mismatch", reason)


def _check_value(key: str, spec: InputDefinition, value: object) -> Iterator[GraphDefect]:
    def defect(kind: str, reason: str) -> GraphDefect:
        return GraphDefect(key, spec.name, kind, reason)

    if not spec.widget:
        yield defect("invalid_input_type", f"expected a link to {spec.type}")
    elif spec.choices is not None:
        if value not in spec.choices:
            shown = ", ".join(map(str, spec.choices[:_SHOWN_CHOICES])) or "none"
            more = ", …" if len(spec.choices) > _SHOWN_CHOICES else ""
            yield defect("value_not_in_list", f"{str(value)[:80]} is none of {shown}{more}")
    elif not _is_of(spec.type, value):
        yield defect("invalid_input_type", f"expected {spec.type}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if spec.minimum is not None and not value >= spec.minimum:
            yield defect("value_smaller_than_min", f"{value} is less than {spec.minimum:g}")
        if spec.maximum is not None and not value <= spec.maximum:
            yield defect("value_bigger_than_max", f"{value} is more than {spec.maximum:g}")


def _is_of(kind: str, value: object) -> bool:
    if isinstance(value, bool):
        return kind == "BOOLEAN"
    if kind == "INT":
        return isinstance(value, int)
    if kind == "FLOAT":
        return isinstance(value, int | float)
    if kind in ("STRING", COMBO):
        return isinstance(value, str)
    return kind != "BOOLEAN" and isinstance(value, str)


def _cycles(nodes: Mapping[str, Node]) -> Iterator[GraphDefect]:
    """The nodes that need themselves: what is left when all that can run have run."""
    waiting = {
        key: {source for _, (source, _) in links_of(node) if source in nodes}
        for key, node in nodes.items()
    }
    ready = [key for key, needs in waiting.items() if not needs]
    while ready:
        for key in ready:
            del waiting[key]
        for needs in waiting.values():
            needs.difference_update(ready)
        ready = [key for key, needs in waiting.items() if not needs]
    for key in waiting:
        # Behind a circle is not in it.
        if key in _reachable(key, waiting):
            yield GraphDefect(key, "", "dependency_cycle", "needs itself")


def _reachable(start: str, needs: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    open_ends = set(needs[start])
    while open_ends:
        key = open_ends.pop()
        if key not in found:
            found.add(key)
            open_ends |= needs.get(key, set())
    return found
