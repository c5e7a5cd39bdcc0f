from __future__ import annotations

from typing import Any

import pytest

from services.kit.errors import FailedPrecondition
from services.orchestrator.engine.template import TemplateError, fill, parse_filling

KNOWN: dict[str, Any] = {
    "input": {
        "text": "Eine {{ input.secret }}",
        "number": 3,
        "none": None,
        "list": ["a", {"b": True}],
    },
    "steps": {
        "write": {"output": {"text": "Wiese"}, "status": "succeeded"},
        "gone": {"status": "skipped"},
    },
}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("{{ input.number }}", 3),
        ("{{input.list}}", ["a", {"b": True}]),
        ("{{ input.list.1.b }}", True),
        ("{{ input.none }}", None),
        ("{{ steps.write.output }}", {"text": "Wiese"}),
        ("{{ steps.gone.status }}", "skipped"),
        ("{{ input.number }} of {{ input.list.0 }}", "3 of a"),
        ("list: {{ input.list }}", 'list: ["a", {"b": true}]'),
        ("{{ steps.gone.output.text ?? steps.write.output.text }}", "Wiese"),
        ('{{ input.none ?? "nothing ?? \\" here" }}', 'nothing ?? " here'),
        ("{{ input.x ?? input.y ?? 1.5 }}", 1.5),
        ("{{ input.x ?? true }}", True),
        ("{{ input.x ?? null }}", None),
        ("\\{{ input.number }}", "{{ input.number }}"),
        ("no braces } { at all", "no braces } { at all"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ({"a": ["{{ input.number }}", 1, None]}, {"a": [3, 1, None]}),
    ],
)
def test_what_is_written_becomes_its_value(written: Any, value: Any) -> None:
    assert fill(parse_filling(written), KNOWN) == value


def test_what_somebody_typed_is_never_read_as_a_template() -> None:
    assert fill(parse_filling("{{ input.text }}!"), KNOWN) == "Eine {{ input.secret }}!"


@pytest.mark.parametrize(
    "written",
    ["{{ input.x }}", "{{ steps.gone.output.text }}", "a {{ input.list.2 }}", "{{ input.text.0 }}"],
)
def test_what_is_not_there_is_an_error_that_names_it(written: str) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        fill(parse_filling(written), KNOWN)
    assert refused.value.reason == "TEMPLATE_VALUE_MISSING"
    assert written.strip("a {}") in refused.value.message


def test_texts_do_not_grow_without_end() -> None:
    with pytest.raises(FailedPrecondition) as refused:
        fill(parse_filling("{{ input.a }}{{ input.a }}"), {"input": {"a": "x" * 150_000}})
    assert refused.value.reason == "TEMPLATE_VALUE_TOO_LONG"


@pytest.mark.parametrize(
    "written",
    [
        "{{",
        "a {{ input.x }} and {{",
        "{{ }}",
        "{{ input }}",
        "{{ input..x }}",
        "{{ input.x | upper }}",
        "{{ 1 + 1 }}",
        "{{ input.x ?? }}",
        "{{ __import__('os') }}",
        "{{ input['x'] }}",
        "{{ NaN }}",
    ],
)
def test_what_is_no_template_is_refused(written: str) -> None:
    with pytest.raises(TemplateError):
        parse_filling(written)
