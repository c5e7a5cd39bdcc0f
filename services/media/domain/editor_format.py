"""Turns what ComfyUI's editor saves into API format, as far as definitions of nodes allow. Pure.

The editor keeps values by position, keeps nodes that never reach the API (reroutes, primitives,
notes, subgraphs) and nodes that are switched off; all of that is resolved here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.media.domain.editor_values import values_of
from services.media.domain.graph_check import types_fit
from services.media.domain.node_definition import Definitions

_NOTES = ("Note", "MarkdownNote")
_REROUTE, _PRIMITIVE = "Reroute", "PrimitiveNode"
_TYPED = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
_ALWAYS, _MUTED, _BYPASSED = 0, 2, 4
# Where a subgraph's links begin and end, seen from inside.
_INWARD, _OUTWARD = -10, -20
_MAX_DEPTH = 64
MAX_EDITOR_NODES = 2_000


class EditorFormatError(ValueError):
    """It cannot be converted; the message says why."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A graph in API format; of nodes left out, by their id, the reason."""

    graph: dict[str, dict[str, Any]]
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Literal:
    value: object


@dataclass(slots=True)
class _Scope:
    """The workflow itself, or a subgraph where one of its instances stands."""

    prefix: str
    nodes: Mapping[Any, Mapping[str, Any]]
    # Link → node and output slot it comes from.
    origins: Mapping[Any, tuple[Any, int]]
    # Output slot of the subgraph → node and output slot inside.
    outcomes: Mapping[int, tuple[Any, int]] = field(default_factory=dict)
    # Name and type of what the subgraph takes.
    inputs: tuple[tuple[str, str], ...] = ()
    instance: Mapping[str, Any] = field(default_factory=dict)
    parent: _Scope | None = None
    depth: int = 0


def convert(document: Mapping[str, Any], definitions: Definitions) -> Converted:
    """Return the graph of an editor's file.

    A node that cannot be converted is left out with the reason: whether it matters depends on
    what is wanted of the graph. Raises EditorFormatError for what is no file of the editor.
    """
    try:
        return _Conversion(document, definitions).run()
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise EditorFormatError("this is not what ComfyUI's editor saves") from error


class _Conversion:
    def __init__(self, document: Mapping[str, Any], definitions: Definitions) -> None:
        self._definitions = definitions
        found = document.get("definitions", {}).get("subgraphs", [])
        self._subgraphs = {one["id"]: one for one in found}
        links = dict(_links(document.get("links", [])))
        nodes = {node["id"]: node for node in document["nodes"]}
        self._root = _Scope("", nodes, links)
        self._inner: dict[str, _Scope] = {}
        self._seen = 0

    def run(self) -> Converted:
        graph: dict[str, dict[str, Any]] = {}
        left_out: dict[str, str] = {}
        for scope, node in self._real_nodes(self._root):
            key = f"{scope.prefix}{node['id']}"
            try:
                graph[key] = self._converted(scope, node)
            except ValueError as error:
                left_out[key] = f"{str(node['type'])[:80]}: {error}"
        return Converted(graph, left_out)

    def _real_nodes(self, scope: _Scope) -> Iterator[tuple[_Scope, Mapping[str, Any]]]:
        if scope.depth > _MAX_DEPTH:
            raise EditorFormatError("subgraphs contain one another")
        for node in scope.nodes.values():
            self._seen += 1
            if self._seen > MAX_EDITOR_NODES:
                raise EditorFormatError(f"more than {MAX_EDITOR_NODES} nodes")
            if node.get("mode", _ALWAYS) in (_MUTED, _BYPASSED):
                continue
            if node["type"] in self._subgraphs:
                yield from self._real_nodes(self._inside(scope, node))
            elif node["type"] not in (*_NOTES, _REROUTE, _PRIMITIVE):
                yield scope, node

    def _inside(self, scope: _Scope, node: Mapping[str, Any]) -> _Scope:
        prefix = f"{scope.prefix}{node['id']}:"
        if prefix not in self._inner:
            subgraph = self._subgraphs[node["type"]]
            links = list(_ends(subgraph.get("links", [])))
            self._inner[prefix] = _Scope(
                prefix,
                {one["id"]: one for one in subgraph["nodes"]},
                {link: origin for link, origin, _ in links},
                {target[1]: origin for _, origin, target in links if target[0] == _OUTWARD},
                tuple((one["name"], str(one["type"])) for one in subgraph.get("inputs", [])),
                node,
                scope,
                scope.depth + 1,
            )
        return self._inner[prefix]

    def _converted(self, scope: _Scope, node: Mapping[str, Any]) -> dict[str, Any]:
        definition = self._definitions.get(node["type"])
        if definition is None:
            raise ValueError("there is no definition of this node here")
        inputs = values_of(definition, node.get("widgets_values"))
        for socket in node.get("inputs") or []:
            origin = scope.origins.get(socket.get("link"))
            if origin is None:
                continue
            found = self._source(scope, *origin, 0)
            if isinstance(found, _Literal):
                inputs[socket["name"]] = found.value
            elif found is not None:
                inputs[socket["name"]] = list(found)
        title = node.get("title") or node["type"]
        return {"class_type": node["type"], "inputs": inputs, "_meta": {"title": str(title)[:200]}}

    def _source(
        self, scope: _Scope, key: object, slot: int, depth: int
    ) -> tuple[str, int] | _Literal | None:
        """Where a link really comes from: a node, a value, or nothing (None)."""
        if depth > _MAX_DEPTH:
            raise EditorFormatError("its reroutes or subgraphs go in a circle")
        if key == _INWARD and scope.parent is not None:
            return self._handed_in(scope, scope.parent, slot, depth)
        node = scope.nodes[key]
        mode, kind = node.get("mode", _ALWAYS), node["type"]
        if mode == _MUTED or kind in _NOTES:
            return None
        if mode == _BYPASSED:
            socket = _passed_through(node, slot)
        elif kind == _REROUTE:
            socket = (node.get("inputs") or [{}])[0]
        elif kind == _PRIMITIVE:
            return _Literal(node["widgets_values"][0])
        elif kind in self._subgraphs:
            inside = self._inside(scope, node)
            outcome = inside.outcomes.get(slot)
            return None if outcome is None else self._source(inside, *outcome, depth + 1)
        else:
            return f"{scope.prefix}{key}", slot
        origin = scope.origins.get(socket.get("link")) if socket else None
        return None if origin is None else self._source(scope, *origin, depth + 1)

    def _handed_in(
        self, scope: _Scope, parent: _Scope, slot: int, depth: int
    ) -> tuple[str, int] | _Literal | None:
        """What an instance of a subgraph gives to one of the subgraph's inputs."""
        name = scope.inputs[slot][0]
        sockets = scope.instance.get("inputs") or []
        named = {one["name"]: one for one in sockets}.get(name, {})
        origin = parent.origins.get(named.get("link"))
        if origin is not None:
            return self._source(parent, *origin, depth + 1)
        values = scope.instance.get("widgets_values") or []
        typed = [one for one, kind in scope.inputs if kind.split(",")[0] in _TYPED]
        shown = [one["name"] for one in sockets if one.get("widget")]
        if name not in typed or not values:
            # Nothing was changed from outside: the node inside keeps its own.
            return None
        for names in (typed, shown):
            if len(names) == len(values):
                return _Literal(values[names.index(name)]) if name in names else None
        raise EditorFormatError(
            f"which of the {len(values)} values of subgraph node {scope.instance['id']} "
            "belong to what cannot be told"
        )


def _passed_through(node: Mapping[str, Any], slot: int) -> Mapping[str, Any] | None:
    """The input a bypassed node hands on at this output: the first of its type."""
    wanted = str(node["outputs"][slot]["type"])
    inputs = node.get("inputs") or []
    same = inputs[slot : slot + 1]
    for socket in [*same, *inputs]:
        if types_fit(str(socket["type"]), wanted) and socket.get("link") is not None:
            return dict(socket)
    return None


def _links(links: list[Any]) -> Iterator[tuple[Any, tuple[Any, int]]]:
    for link, origin, _ in _ends(links):
        yield link, origin


def _ends(links: list[Any]) -> Iterator[tuple[Any, tuple[Any, int], tuple[Any, int]]]:
    """Id, origin and target of every link: lists in a workflow, objects in a subgraph."""
    for link in links:
        if isinstance(link, dict):
            origin = (link["origin_id"], link["origin_slot"])
            yield link["id"], origin, (link["target_id"], link["target_slot"])
        elif link is not None:
            yield link[0], (link[1], link[2]), (link[3], link[4])
