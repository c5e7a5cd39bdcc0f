"""What a script writes into names and properties, gives back from functions, and calls."""

from __future__ import annotations

from tree_sitter import Node

from services.media.backends.code.syntax import FUNCTIONS, Scopes, text_of, walk


class Writes:
    """Everything that is written in one script; the writes to names are in their bindings."""

    def __init__(self, root: Node, scopes: Scopes) -> None:
        self._scopes = scopes
        # By name, what is written to any property of that name; None is unknown.
        self.properties: dict[str, list[Node | None]] = {}
        # By the node id of a function, what it gives back.
        self.returns: dict[int, list[Node | None]] = {}
        # Uses of any property of that name; None is a use that is no call.
        self.method_calls: dict[str, list[Node | None]] = {}
        # Whether there are things whose forEach gives keys.
        self.has_keys = False
        for node in walk(root):
            self._collect(node)

    def _collect(self, node: Node) -> None:
        kind = node.type
        if kind in ("assignment_expression", "augmented_assignment_expression"):
            left = field_of(node, "left")
            value: Node | None = node.child_by_field_name("right")
            if kind == "augmented_assignment_expression":
                value = node
            self._written(left, value)
        elif kind == "for_in_statement" and node.child_by_field_name("kind") is None:
            self._written(field_of(node, "left"), None)
        elif kind == "pair":
            key = field_of(node, "key")
            self.properties.setdefault(key_of(key), []).append(node.child_by_field_name("value"))
        elif kind in ("method_definition", "field_definition"):
            name = node.child_by_field_name("name") or node.child_by_field_name("property")
            if name is not None:
                value = node.child_by_field_name("value") if kind == "field_definition" else None
                self.properties.setdefault(key_of(name), []).append(value)
        elif kind == "shorthand_property_identifier":
            self.properties.setdefault(text_of(node), []).append(node)
            self._use(node)
        elif kind in FUNCTIONS:
            self._function(node)
        elif kind == "return_statement":
            self._return(node)
        elif kind == "identifier" and node.id not in self._scopes.declaring:
            self._use(node)
        elif kind == "member_expression":
            self._member(node)
        elif kind == "subscript_expression":
            # thing["method"], and below const {method} = thing: a use that is no plain call.
            self.method_calls.setdefault(key_of(field_of(node, "index")), []).append(None)
        elif kind == "shorthand_property_identifier_pattern":
            self.method_calls.setdefault(text_of(node), []).append(None)
        elif kind == "pair_pattern":
            self.method_calls.setdefault(key_of(field_of(node, "key")), []).append(None)

    def _written(self, left: Node, value: Node | None) -> None:
        if left.type == "parenthesized_expression":
            left = only_part(left) or left
        if left.type == "identifier":
            binding = self._scopes.of(left).find(text_of(left))
            if binding is not None:
                binding.writes.append(value)
        elif left.type == "member_expression":
            self.properties.setdefault(text_of(field_of(left, "property")), []).append(value)
        elif left.type == "subscript_expression":
            index = field_of(left, "index")
            if index.type == "string":
                self.properties.setdefault(key_of(index), []).append(value)
        else:
            # A pattern, which may hold anything.
            for part in walk(left):
                if part.type in ("identifier", "shorthand_property_identifier_pattern"):
                    binding = self._scopes.of(part).find(text_of(part))
                    if binding is not None:
                        binding.writes.append(None)
                elif part.type == "member_expression":
                    self.properties.setdefault(text_of(field_of(part, "property")), []).append(None)

    def _function(self, node: Node) -> None:
        returns = self.returns.setdefault(node.id, [])
        body = field_of(node, "body")
        if body.type != "statement_block":
            returns.append(body)
        strange = "generator" in node.type or any(
            child.type in ("async", "*", "get") for child in node.children
        )
        if strange:
            returns.append(None)

    def _return(self, node: Node) -> None:
        function = node.parent
        while function is not None and function.type not in FUNCTIONS:
            function = function.parent
        if function is not None and node.named_children:
            self.returns.setdefault(function.id, []).append(node.named_children[0])

    def _use(self, node: Node) -> None:
        binding = self._scopes.of(node).find(text_of(node))
        if binding is None:
            # Their forEach gives keys, which may be texts.
            self.has_keys |= text_of(node) in ("Map", "Set")
            return
        call = call_of(node)
        if call is not None:
            binding.calls.append(call)
        else:
            binding.other_uses += 1

    def _member(self, node: Node) -> None:
        name = text_of(field_of(node, "property"))
        self.method_calls.setdefault(name, []).append(call_of(node))


def call_of(node: Node) -> Node | None:
    """The call or `new` whose callee this is."""
    parent = node.parent
    if parent is None:
        return None
    role = {"call_expression": "function", "new_expression": "constructor"}.get(parent.type)
    callee = parent.child_by_field_name(role) if role is not None else None
    return parent if callee is not None and callee.id == node.id else None


def field_of(node: Node, name: str) -> Node:
    """The part of a node by this role; the node itself when it has none."""
    found = node.child_by_field_name(name)
    return found if found is not None else node


def only_part(node: Node) -> Node | None:
    """The one part of a node that is no comment."""
    parts = [child for child in node.named_children if child.type != "comment"]
    return parts[0] if len(parts) == 1 else None


def key_of(node: Node) -> str:
    """The name that a key says, without its quotes."""
    return text_of(node).strip("\"'`")


def arguments_of(call: Node) -> list[Node]:
    """What a call is given."""
    given = call.child_by_field_name("arguments")
    if given is None or given.type != "arguments":
        return []
    return [child for child in given.named_children if child.type != "comment"]
