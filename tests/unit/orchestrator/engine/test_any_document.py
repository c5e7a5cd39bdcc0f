"""Whatever a file holds, it is a pipeline or it has defects; nothing else happens."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.kit.defects import CatalogueError, Defect
from services.orchestrator.engine.definition import Definition, parse_definition
from services.orchestrator.engine.mermaid import mermaid
from services.orchestrator.engine.values import VALUES
from tests.unit.orchestrator.engine.test_definition_defects import good

WORDS = st.sampled_from(
    [
        *("name", "steps", "flow", "id", "type", "config", "inputs", "retry", "on", "fallback"),
        *("body", "paths", "from_step", "to_step", "condition", "limit", "start_at", "attempts"),
        *("first", "size", "each", "made", "set", "measure", "for_each_output", "a:B", "always"),
        *("equals", "all", "not", "matches", "exists", "outcome", "blocked", "(a", "{{", "input"),
        *("{{ steps.size.output.words }}", "{{ output.kind }}", "{{ input.text ?? 1 }}", "{{ x }}"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 200)
    | st.floats(allow_nan=True)
    | st.text(max_size=8)
    | WORDS
    | st.dates()
)
VALUES_OF_FILES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(WORDS | st.integers(0, 3) | st.booleans(), inner, max_size=4)
    ),
    max_leaves=12,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = [at] if at else []
    for key, one in inner if isinstance(value, dict | list) else ():
        found += places(one, (*at, key)) if isinstance(one, dict | list) else [(*at, key)]
    return found


PLACES = places(good())


def parsed(document: object) -> Definition | None:
    defects: list[Defect] = []
    try:
        return parse_definition(document, "x.yaml", {}, VALUES)
    except CatalogueError as error:
        defects = error.defects
    assert defects
    assert all(defect.file == "x.yaml" and defect.reason for defect in defects)
    return None


@given(VALUES_OF_FILES)
def test_anything_at_all(document: object) -> None:
    parsed(document)


@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES_OF_FILES), min_size=1, max_size=3))
@settings(max_examples=150)
def test_a_good_file_with_anything_in_some_places(changes: list[tuple[Any, Any]]) -> None:
    document = copy.deepcopy(good())
    for place, value in changes:
        inner: Any = document
        try:
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
        except (TypeError, KeyError, IndexError):
            continue
    definition = parsed(document)
    if definition is not None:
        assert parse_definition(json.loads(definition.document), "plan") == definition
        assert mermaid(definition)
