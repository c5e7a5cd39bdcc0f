"""A sketch as a syntax tree, and where its names are declared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

MAX_DEPTH = 120
FUNCTIONS = frozenset(
    ("function_declaration", "function_expression", "arrow_function", "method_definition",
     "generator_function_declaration", "generator_function")
)  # fmt: skip
_CLASSES = frozenset(("class_declaration", "class"))
_SCOPES = FUNCTIONS | _CLASSES | frozenset(
    ("statement_block", "for_statement", "for_in_statement", "catch_clause", "switch_body",
     "class_static_block")
)  # fmt: skip


class TooDeepError(Exception):
    """Things in things in things: no sketch is built so."""


@dataclass(eq=False, slots=True)
class Binding:
    """A declared name. `writes` are the values it gets; None is one that is not known."""

    name: str
    kind: str
    node: Node
    writes: list[Node | None] = field(default_factory=list)
    # For a parameter: its function and place.
    function: Node | None = None
    place: int = 0
    # Reads that are not calls of it.
    other_uses: int = 0
    calls: list[Node] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Scope:
    """Where names are looked up; the outermost has no parent and is the script."""

    parent: Scope | None
    is_function: bool
    names: dict[str, Binding] = field(default_factory=dict)

    def find(self, name: str) -> Binding | None:
        """The binding of a name seen from here; None is a global of the page."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return None


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_javascript.language()))


def parse(source: str) -> Node:
    """The root of the syntax tree; `has_error` tells of what is no JavaScript."""
    return _parser().parse(source.encode()).root_node


def text_of(node: Node) -> str:
    """The source of a node."""
    return (node.text or b"").decode()


def walk(root: Node) -> Iterator[Node]:
    """Every node, parents first. Raises TooDeepError."""
    stack = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise TooDeepError
        yield node
        stack.extend((child, depth + 1) for child in reversed(node.children))


def pattern_names(pattern: Node) -> Iterator[Node]:
    """The identifiers a pattern declares; not those of its default values and keys."""
    if pattern.type in ("identifier", "shorthand_property_identifier_pattern"):
        yield pattern
        return
    if pattern.type in ("assignment_pattern", "object_assignment_pattern"):
        left = pattern.child_by_field_name("left")
        if left is not None:
            yield from pattern_names(left)
        return
    if pattern.type == "pair_pattern":
        value = pattern.child_by_field_name("value")
        if value is not None:
            yield from pattern_names(value)
        return
    if pattern.type in ("object_pattern", "array_pattern", "rest_pattern"):
        for child in pattern.named_children:
            yield from pattern_names(child)


class Scopes:
    """The scope of every node of a tree."""

    def __init__(self, root: Node) -> None:
        self.script = Scope(None, True)
        self.bindings: list[Binding] = []
        # The identifiers that declare, by node id: they are no uses.
        self.declaring: set[int] = set()
        self._of: dict[int, Scope] = {}
        self._build(root)

    def of(self, node: Node) -> Scope:
        """The scope a node is in."""
        return self._of[node.id]

    def _build(self, root: Node) -> None:
        stack: list[tuple[Node, Scope]] = [(root, self.script)]
        while stack:
            node, outer = stack.pop()
            scope = outer
            if node.type in _SCOPES and not _is_body(node):
                scope = Scope(outer, node.type in FUNCTIONS)
            self._of[node.id] = scope
            self._declare(node, outer, scope)
            stack.extend((child, scope) for child in reversed(node.children))

    def _declare(self, node: Node, outer: Scope, inner: Scope) -> None:
        kind = node.type
        if kind in ("function_declaration", "generator_function_declaration", "class_declaration"):
            self._add(outer, node.child_by_field_name("name"), "function", node)
            if not outer.is_function and kind != "class_declaration":
                # ECMAScript, annex B.3.3: seen in the whole function, once the block was run.
                self._add(
                    _function_scope(outer), node.child_by_field_name("name"), "function", None
                )
        elif kind in ("function_expression", "generator_function", "class"):
            self._add(inner, node.child_by_field_name("name"), "function", node)
        if kind in FUNCTIONS:
            self._parameters(node, inner)
        elif kind == "variable_declarator":
            parent = node.parent
            is_var = parent is not None and parent.type == "variable_declaration"
            self._variable(node, _function_scope(outer) if is_var else outer,
                           "var" if is_var else "let")  # fmt: skip
        elif kind == "for_in_statement":
            left, how = node.child_by_field_name("left"), node.child_by_field_name("kind")
            if left is not None and how is not None:
                scope = _function_scope(inner) if text_of(how) == "var" else inner
                for name in pattern_names(left):
                    self._add(scope, name, "var" if text_of(how) == "var" else "let", None)
        elif kind == "catch_clause":
            parameter = node.child_by_field_name("parameter")
            for name in pattern_names(parameter) if parameter is not None else ():
                self._add(inner, name, "let", None)

    def _parameters(self, node: Node, inner: Scope) -> None:
        single = node.child_by_field_name("parameter")
        several = node.child_by_field_name("parameters")
        found = [single] if single is not None else []
        found += several.named_children if several is not None else []
        for place, parameter in enumerate(p for p in found if p.type != "comment"):
            plain = parameter.type in ("identifier", "assignment_pattern")
            for name in pattern_names(parameter):
                binding = self._add(inner, name, "parameter", None if not plain else node)
                if binding is None:
                    continue
                if plain:
                    binding.writes.clear()
                    binding.function, binding.place = node, place
                    default = parameter.child_by_field_name("right")
                    binding.writes += [default] if default is not None else []

    def _variable(self, node: Node, scope: Scope, kind: str) -> None:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is None:
            return
        if name.type == "identifier":
            binding = self._add(scope, name, kind, node)
            if binding is not None and value is not None:
                binding.writes.append(value)
            return
        for one in pattern_names(name):
            self._add(scope, one, kind, None)

    def _add(self, scope: Scope, name: Node | None, kind: str, node: Node | None) -> Binding | None:
        if name is None:
            return None
        self.declaring.add(name.id)
        known = scope.names.get(text_of(name))
        binding = known or Binding(text_of(name), kind, node or name)
        if node is None:
            binding.writes.append(None)
        if known is None:
            scope.names[binding.name] = binding
            self.bindings.append(binding)
        elif kind == "function" or known.kind == "function":
            # Declared twice: what it is depends on what ran last.
            known.writes.append(None)
        return binding


def _is_body(node: Node) -> bool:
    """Whether it is the block of a function, which is no scope of its own."""
    return (
        node.type == "statement_block" and node.parent is not None and node.parent.type in FUNCTIONS
    )


def _function_scope(scope: Scope) -> Scope:
    while not scope.is_function and scope.parent is not None:
        scope = scope.parent
    return scope
