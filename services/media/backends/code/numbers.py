"""Which expressions can only be numbers.

`thing[key]` reaches everything a thing has when the key is a text; when it is a number, truth
value or nothing it reaches elements only. A type checker in small: every name, property and
function is taken to hold numbers until one of its values says otherwise.
"""

from __future__ import annotations

from tree_sitter import Node

from services.media.backends.code.library import Library
from services.media.backends.code.names import (
    INDEX_CALLBACKS,
    NUMERIC_FUNCTIONS,
    NUMERIC_GLOBALS,
    NUMERIC_METHODS,
    NUMERIC_OF_NUMBERS,
    PROPERTIES,
    TEXT_PROPERTIES,
)
from services.media.backends.code.syntax import FUNCTIONS, Binding, Scopes, text_of
from services.media.backends.code.writes import Writes, arguments_of, field_of, key_of, only_part

_PLAIN = frozenset(("number", "true", "false", "null", "undefined", "update_expression"))
_ARITHMETIC = frozenset("- * / % ** & | ^ << >> >>> < > <= >= == != === !== in instanceof".split())
_EITHER = frozenset(("+", "&&", "||", "??"))
_COUNTED = frozenset(("length", "size"))


class Numbers:
    """Answers `is_number` for the expressions of one script."""

    def __init__(self, root: Node, scopes: Scopes, library: Library) -> None:
        self._scopes = scopes
        self._foreign = PROPERTIES[library] | TEXT_PROPERTIES
        self._all = Writes(root, scopes)
        self._not_bindings: set[Binding] = set()
        self._not_properties: set[str] = set()
        self._not_functions: set[int] = set()
        self._settle()

    @property
    def own_properties(self) -> frozenset[str]:
        """The names of properties that the script gives to things."""
        return frozenset(self._all.properties)

    def is_number(self, node: Node | None) -> bool:
        """Whether it can be nothing but a number, a truth value, null or undefined."""
        if node is None:
            return False
        kind = node.type
        if kind in _PLAIN:
            return True
        if kind == "parenthesized_expression":
            return self.is_number(only_part(node))
        if kind == "unary_expression":
            return text_of(field_of(node, "operator")) in ("-", "+", "~", "!")
        if kind == "binary_expression":
            operator = text_of(field_of(node, "operator"))
            return operator in _ARITHMETIC or (
                operator in _EITHER
                and self.is_number(node.child_by_field_name("left"))
                and self.is_number(node.child_by_field_name("right"))
            )
        if kind == "ternary_expression":
            return self.is_number(node.child_by_field_name("consequence")) and self.is_number(
                node.child_by_field_name("alternative")
            )
        if kind == "assignment_expression":
            return self.is_number(node.child_by_field_name("right"))
        if kind == "augmented_assignment_expression":
            return self._augmented(node)
        if kind in ("identifier", "shorthand_property_identifier"):
            binding = self._scopes.of(node).find(text_of(node))
            if binding is None:
                return text_of(node) in NUMERIC_GLOBALS
            return binding.kind != "function" and binding not in self._not_bindings
        if kind == "member_expression":
            return self._property(text_of(field_of(node, "property")))
        return kind == "call_expression" and self._call(node)

    def _property(self, name: str) -> bool:
        if name in self._not_properties:
            return False
        return name in _COUNTED or (name in self._all.properties and name not in self._foreign)

    def _augmented(self, node: Node) -> bool:
        operator = text_of(field_of(node, "operator")).removesuffix("=")
        return operator in _ARITHMETIC or (
            self.is_number(node.child_by_field_name("left"))
            and self.is_number(node.child_by_field_name("right"))
        )

    def _call(self, node: Node) -> bool:
        callee = field_of(node, "function")
        given = arguments_of(node)
        if callee.type == "identifier":
            name = text_of(callee)
            binding = self._scopes.of(callee).find(name)
            if binding is not None:
                function = _function_of(binding)
                return function is not None and function.id not in self._not_functions
            if name in NUMERIC_OF_NUMBERS:
                return all(self.is_number(argument) for argument in given)
            return name in NUMERIC_FUNCTIONS
        if callee.type == "member_expression":
            thing, name = field_of(callee, "object"), text_of(field_of(callee, "property"))
            if name in self._all.properties:
                return False
            if text_of(thing) in ("Math", "Date") and self._is_global(thing):
                return name == "now" or text_of(thing) == "Math"
            return name in NUMERIC_METHODS
        return False

    def _is_global(self, node: Node) -> bool:
        return node.type == "identifier" and self._scopes.of(node).find(text_of(node)) is None

    def _settle(self) -> None:
        while True:
            before = (len(self._not_bindings), len(self._not_properties), len(self._not_functions))
            for binding in self._scopes.bindings:
                if binding not in self._not_bindings and not self._holds_numbers(binding):
                    self._not_bindings.add(binding)
            for name, values in self._all.properties.items():
                if not all(self.is_number(value) for value in values):
                    self._not_properties.add(name)
            for function, returned in self._all.returns.items():
                if not all(self.is_number(value) for value in returned):
                    self._not_functions.add(function)
            after = (len(self._not_bindings), len(self._not_properties), len(self._not_functions))
            if after == before:
                return

    def _holds_numbers(self, binding: Binding) -> bool:
        if not all(self.is_number(value) for value in binding.writes):
            return False
        if binding.kind != "parameter":
            return True
        return binding.function is not None and self._gets_numbers(binding.function, binding.place)

    def _gets_numbers(self, function: Node, place: int) -> bool:
        """Whether this parameter of a function is a number in every call there is."""
        parent = function.parent
        if function.type == "function_declaration":
            return self._named_gets_numbers(function, place)
        if function.type == "method_definition":
            return self._method_gets_numbers(function, place)
        if function.child_by_field_name("name") is not None:
            # It may call itself by a name that nobody else knows.
            return False
        if parent is not None and parent.type == "arguments":
            call = parent.parent
            callee = call.child_by_field_name("function") if call is not None else None
            if callee is None or callee.type != "member_expression":
                return False
            name = text_of(field_of(callee, "property"))
            if name == "forEach" and self._all.has_keys:
                return False
            return INDEX_CALLBACKS.get(name) == place and name not in self._all.properties
        if parent is not None and parent.type == "variable_declarator":
            name_node = field_of(parent, "name")
            own = self._scopes.of(parent).find(text_of(name_node))
            if own is None or own.other_uses or len(own.writes) != 1:
                return False
            return all(self._argument(call, place) for call in own.calls)
        return False

    def _named_gets_numbers(self, declared: Node, place: int) -> bool:
        outer = self._scopes.of(declared).parent
        own = outer.find(text_of(field_of(declared, "name"))) if outer is not None else None
        if own is None or own.other_uses or own.writes:
            return False
        return all(self._argument(call, place) for call in own.calls)

    def _method_gets_numbers(self, method: Node, place: int) -> bool:
        name = key_of(field_of(method, "name"))
        body = method.parent
        owner = body.parent if body is not None else None
        if owner is None or owner.type != "class_declaration":
            return False
        if name == "constructor":
            return self._named_gets_numbers(owner, place)
        if any(child.type == "class_heritage" for child in owner.children):
            # What it is made of may call the method by itself.
            return False
        if name in self._foreign or len(self._all.properties.get(name, [])) > 1:
            return False
        calls = self._all.method_calls.get(name, [])
        return all(call is not None and self._argument(call, place) for call in calls)

    def _argument(self, call: Node, place: int) -> bool:
        given = arguments_of(call)
        if any(argument.type == "spread_element" for argument in given):
            return False
        return place >= len(given) or self.is_number(given[place])


def _function_of(binding: Binding) -> Node | None:
    """The one function a name stands for; None when it may be another."""
    if binding.kind == "function":
        return binding.node if not binding.writes and binding.node.type in FUNCTIONS else None
    if binding.kind == "parameter" or len(binding.writes) != 1:
        return None
    written = binding.writes[0]
    return written if written is not None and written.type in FUNCTIONS else None
