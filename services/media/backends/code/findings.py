"""What is wrong with a sketch, and what its mere text says before it is parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tree_sitter import Node

MAX_SKETCH_BYTES = 48 * 1024

# Things a browser reads differently from a parser, or a page from a script.
_CHARACTERS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)
_MARKUP = re.compile(r"<!--|-->|</?\s*(script|iframe|img|svg|body|html|link|object|embed)", re.I)
_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]*://|^\s*//|\b(javascript|data|blob|vbscript)\s*:|url\s*\(", re.I
)
_SOURCE_MAP = re.compile(r"source(mapping)?url", re.I)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a sketch: a kind from a fixed list, and the line from 1."""

    kind: str
    line: int


class FoundError(Exception):
    """Ends a check with its finding; known inside of it only."""

    def __init__(self, kind: str, node: Node | None = None) -> None:
        super().__init__(kind)
        self.finding = Finding(kind, node.start_point[0] + 1 if node is not None else 1)


def check_text(source: str) -> None:
    """Raise FoundError for what is too large, or could be read in two ways."""
    try:
        size = len(source.encode())
    except UnicodeEncodeError as error:
        raise FoundError("character") from error
    if size > MAX_SKETCH_BYTES:
        raise FoundError("too_large")
    if _CHARACTERS.search(source) or "\r" in source.replace("\r\n", ""):
        raise FoundError("character")
    if _MARKUP.search(source):
        raise FoundError("markup")


def is_address(text: str) -> bool:
    """Whether a text names, or begins, a place to load from."""
    return _ADDRESS.search(text) is not None


def is_source_map(comment: str) -> bool:
    """Whether a comment tells a browser where to load from."""
    return _SOURCE_MAP.search(comment) is not None
