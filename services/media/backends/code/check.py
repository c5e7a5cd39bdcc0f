"""Is a sketch harmless? Decided from its syntax tree, before it counts.

A sketch runs in the browser of whoever looks at it. The page shuts it in; this is the lock before
that one. What is not understood is refused: only names of `names.yaml`, elements only by number,
no way from a value to the page, to the network or to code made from text, no loop without an end
that can be seen.
"""

from __future__ import annotations

import re

from tree_sitter import Node

from services.kit.errors import FailedPrecondition
from services.media.backends.code.findings import (
    Finding,
    FoundError,
    check_text,
    is_address,
    is_source_map,
)
from services.media.backends.code.library import Library
from services.media.backends.code.names import (
    FORBIDDEN,
    GLOBALS,
    HANDLERS,
    MEMBERS_OF,
    PROPERTIES,
    UNDECLARABLE,
)
from services.media.backends.code.numbers import Numbers
from services.media.backends.code.syntax import (
    FUNCTIONS,
    Scopes,
    TooDeepError,
    parse,
    pattern_names,
    text_of,
    walk,
)

_HANDLER = re.compile(r"on[a-z]{3,}")

_REFUSED_NODES = {
    "import_statement": "import", "export_statement": "import", "import": "import",
    "with_statement": "with", "debugger_statement": "debugger", "meta_property": "import",
    "regex": "regular_expression", "html_comment": "markup", "hash_bang_line": "markup",
    "decorator": "decorator", "jsx_element": "syntax", "jsx_self_closing_element": "syntax",
}  # fmt: skip
# Where a property is given and not taken.
_DEFINING = frozenset(("pair", "method_definition", "field_definition"))
_PROPERTY_NODES = frozenset(
    ("property_identifier", "shorthand_property_identifier",
     "shorthand_property_identifier_pattern", "private_property_identifier")
)  # fmt: skip


def check_sketch(source: str, library: Library) -> None:
    """Raise FailedPrecondition CODE_NOT_ALLOWED unless the sketch is harmless.

    The error's metadata has the kind of the `finding` and its `line`, never a word of the sketch.
    """
    found = find_danger(source, library)
    if found is not None:
        raise not_allowed(found)


def not_allowed(found: Finding) -> FailedPrecondition:
    """The error a finding is told by."""
    return FailedPrecondition(
        "CODE_NOT_ALLOWED",
        f"the sketch is refused: {found.kind.replace('_', ' ')}, line {found.line}",
        metadata={"finding": found.kind, "line": str(found.line)},
    )


def find_danger(source: str, library: Library) -> Finding | None:
    """The first thing a sketch must not have; None when it is harmless."""
    try:
        check_text(source)
        root = parse(source)
        if root.has_error:
            raise FoundError("syntax", _first_error(root))
        _Check(root, library).run()
    except FoundError as error:
        return error.finding
    except TooDeepError:
        return Finding("too_deep", 1)
    return None


def _first_error(root: Node) -> Node | None:
    return next((node for node in walk(root) if node.is_error or node.is_missing), None)


class _Check:
    def __init__(self, root: Node, library: Library) -> None:
        self._root, self._library = root, library
        # Depth is bounded before anything recurses.
        self._nodes = list(walk(root))
        self._scopes = Scopes(root)
        self._numbers = Numbers(root, self._scopes, library)
        self._properties = PROPERTIES[library] | self._numbers.own_properties

    def run(self) -> None:
        for binding in self._scopes.bindings:
            if binding.name in UNDECLARABLE and (
                self._scopes.script.names.get(binding.name) is binding
                or binding.name in ("eval", "arguments")
            ):
                raise FoundError("name_of_the_page", binding.node)
            # A function's name is a text that it carries along.
            if FORBIDDEN.get(binding.name) == "code_from_text" or binding.name.startswith("__"):
                raise FoundError("code_from_text", binding.node)
        for node in self._nodes:
            self._node(node)
        self._is_a_sketch()

    def _node(self, node: Node) -> None:
        kind = node.type
        if kind in _REFUSED_NODES:
            raise FoundError(_REFUSED_NODES[kind], node)
        if kind == "identifier":
            self._identifier(node)
        elif kind in _PROPERTY_NODES:
            self._property(node, text_of(node))
        elif kind == "string_fragment" or kind == "template_string":
            if is_address(text_of(node).strip("`")):
                raise FoundError("address", node)
        elif kind == "comment":
            if is_source_map(text_of(node)):
                raise FoundError("address", node)
        elif kind == "string":
            self._key(node)
        elif kind == "subscript_expression":
            self._subscript(node)
        elif kind == "computed_property_name":
            if not self._numbers.is_number(node.named_children[0]):
                raise FoundError("computed_access", node)
        elif kind == "this":
            self._this(node)
        elif kind == "call_expression":
            arguments = node.child_by_field_name("arguments")
            if arguments is not None and arguments.type == "template_string":
                raise FoundError("tagged_template", node)
        elif kind in ("while_statement", "do_statement", "for_statement"):
            self._loop(node)
        elif kind in ("assignment_expression", "augmented_assignment_expression",
                      "update_expression", "for_in_statement"):  # fmt: skip
            self._assignment(node)
        if kind in FUNCTIONS:
            self._handler(node)

    def _identifier(self, node: Node) -> None:
        name = text_of(node)
        if "\\" in name:
            raise FoundError("escaped_name", node)
        if node.id in self._scopes.declaring or self._scopes.of(node).find(name) is not None:
            return
        if name not in GLOBALS[self._library]:
            kind = FORBIDDEN.get(name, "unknown_name")
            raise FoundError(kind, node)
        allowed = MEMBERS_OF.get(name)
        if allowed is None:
            return
        # A box must not be handed on: whoever has it could take anything out.
        parent = node.parent
        is_taken_from = parent is not None and parent.type == "member_expression"
        member = parent.child_by_field_name("property") if parent and is_taken_from else None
        if member is None or member.id == node.id:
            raise FoundError("unknown_name", node)
        if text_of(member) not in allowed:
            raise FoundError(FORBIDDEN.get(text_of(member), "unknown_name"), node)

    def _property(self, node: Node, name: str) -> None:
        if "\\" in name:
            raise FoundError("escaped_name", node)
        if node.type == "private_property_identifier":
            return
        parent = node.parent
        if name == "constructor" and parent is not None and parent.type == "method_definition":
            body = parent.parent
            if body is not None and body.type == "class_body":
                return
        if name in FORBIDDEN:
            raise FoundError(FORBIDDEN[name], node)
        if name == "save" and parent is not None and parent.type not in _DEFINING:
            # Of a drawing's state; every other thing of p5 saves into a file.
            thing = parent.child_by_field_name("object")
            if thing is None or text_of(thing) != "drawingContext":
                raise FoundError("p5_elements_and_files", node)
        if name.startswith("_") or _HANDLER.fullmatch(name):
            raise FoundError("hidden_property", node)
        if name not in self._properties:
            raise FoundError("unknown_property", node)

    def _key(self, node: Node) -> None:
        """A text where a name stands: {"key": 1}, thing["key"]."""
        parent = node.parent
        if parent is None:
            return
        roles = ("key", "index", "name", "property")
        named = any(
            (child := parent.child_by_field_name(role)) is not None and child.id == node.id
            for role in roles
        )
        if not named or parent.type in ("variable_declarator",):
            return
        if any(child.type == "escape_sequence" for child in node.children):
            raise FoundError("escaped_name", node)
        key = text_of(node)[1:-1]
        if parent.type == "pair" and not key.isidentifier():
            # {"#ff0000": 1, "C4 E4": 2}: no name of anything.
            return
        self._property(node, key)

    def _subscript(self, node: Node) -> None:
        index = node.child_by_field_name("index")
        if index is None:
            raise FoundError("computed_access", node)
        if index.type != "string" and not self._numbers.is_number(index):
            raise FoundError("computed_access", node)

    def _this(self, node: Node) -> None:
        """Only inside of classes, whose code is strict: elsewhere it may be the window."""
        above, outside = node.parent, 0
        while above is not None:
            if above.type == "computed_property_name":
                # The name of a member is worked out where the class stands.
                outside += 1
            if above.type == "class_body":
                if not outside:
                    return
                outside -= 1
            above = above.parent
        raise FoundError("this_outside_class", node)

    def _loop(self, node: Node) -> None:
        condition = node.child_by_field_name("condition")
        if condition is None or condition.type == "empty_statement":
            raise FoundError("endless_loop", node)
        moving = ("identifier", "call_expression", "member_expression", "subscript_expression")
        if not any(part.type in moving for part in walk(condition)):
            raise FoundError("endless_loop", node)

    def _assignment(self, node: Node) -> None:
        left = node.child_by_field_name("left") or node.child_by_field_name("argument")
        if left is None or (
            node.type == "for_in_statement" and node.child_by_field_name("kind") is not None
        ):
            return
        for part in pattern_names(left) if left.type != "member_expression" else ():
            if self._is_library(part):
                raise FoundError("changes_the_library", part)
        target: Node | None = left
        if target is None or target.type not in ("member_expression", "subscript_expression"):
            return
        thing = target.child_by_field_name("object")
        if thing is None or thing.type != "identifier":
            return
        if not self._is_library(thing):
            return
        # Its filter can name an address.
        name = target.child_by_field_name("property")
        is_filter = name is not None and text_of(name) == "filter"
        if is_filter or text_of(thing) not in ("drawingContext", "pixels"):
            raise FoundError("changes_the_library", node)

    def _is_library(self, node: Node) -> bool:
        """Whether a name is one of the library or the language, and not the sketch's own."""
        name = text_of(node)
        return name in GLOBALS[self._library] and self._scopes.of(node).find(name) is None

    def _handler(self, node: Node) -> None:
        name = node.child_by_field_name("name")
        if name is None or text_of(name) not in HANDLERS or node.type == "method_definition":
            return
        parameters = node.child_by_field_name("parameters")
        if parameters is not None and parameters.named_children:
            raise FoundError("event_handler", node)

    def _is_a_sketch(self) -> None:
        if self._library == "p5js":
            for name in ("setup", "draw"):
                binding = self._scopes.script.names.get(name)
                if binding is not None and binding.node.type == "function_declaration":
                    return
            raise FoundError("no_sketch")
        if not any(node.type == "identifier" and text_of(node) == "Tone" for node in self._nodes):
            raise FoundError("no_sketch")
