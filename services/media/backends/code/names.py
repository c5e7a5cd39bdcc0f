"""What a sketch may name; the lists are in names.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from services.media.backends.code.library import Library

_LISTS: Mapping[str, Any] = yaml.safe_load(
    (Path(__file__).parent / "names.yaml").read_text("utf-8")
)


def _names(*keys: str) -> frozenset[str]:
    return frozenset(name for key in keys for name in _LISTS[key].split())


NUMERIC_GLOBALS = _names("numeric_globals")
NUMERIC_FUNCTIONS = _names("numeric_functions")
NUMERIC_OF_NUMBERS = _names("numeric_of_numbers")
NUMERIC_METHODS = _names("numeric_methods")
TEXT_PROPERTIES = _names("text_properties")
GLOBALS: Mapping[Library, frozenset[str]] = {
    "p5js": _names(
        "language", "numeric_globals", "numeric_functions", "numeric_of_numbers", "p5js"
    ),
    "tonejs": _names("language", "tonejs"),
}
# What may follow a global that is more of a box than a thing.
MEMBERS_OF: Mapping[str, frozenset[str]] = {
    "Tone": _names("tone_members"),
    "p5": frozenset(("Vector",)),
    "Object": frozenset(("keys", "values", "entries", "freeze")),
    "console": frozenset(("log", "warn", "error")),
    "Promise": frozenset(("all", "resolve")),
}
PROPERTIES: Mapping[Library, frozenset[str]] = {
    "p5js": _names("js_properties", "p5_properties") | MEMBERS_OF["p5"],
    "tonejs": _names("js_properties", "tone_properties") | MEMBERS_OF["Tone"],
}
FORBIDDEN: Mapping[str, str] = {
    name: kind for kind, names in _LISTS["forbidden"].items() for name in names.split()
}
HANDLERS = _names("handlers")
UNDECLARABLE = _names("undeclarable")
# These call back with a number, as the parameter of this place.
INDEX_CALLBACKS: Mapping[str, int] = {
    "forEach": 1, "map": 1, "filter": 1, "some": 1, "every": 1, "find": 1, "findIndex": 1,
    "flatMap": 1, "from": 1, "reduce": 2,
}  # fmt: skip
