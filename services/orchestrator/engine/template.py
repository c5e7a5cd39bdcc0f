r"""The template language of pipelines: exact, without any code in it. Pure.

    {{ input.text }}                      what the run was started with
    {{ plan.seed }}                       what was planned
    {{ steps.write.output.text }}         of a step; also .status, .error and .iteration
    {{ output.config }}                   inside of for_each_output
    {{ steps.edit.output.text ?? input.text ?? "nothing" }}   the first that is there

A string that is one template keeps the value's type; in a longer one it becomes text. `\{{` stands
for two braces. Lists are counted from 0: `{{ steps.find.output.items.0 }}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from services.kit.errors import FailedPrecondition
from services.orchestrator.engine.step import Json

ROOTS = ("input", "plan", "steps", "output")
OF_STEP = ("output", "status", "error", "iteration")
# What one filled-in string may have; a loop that doubles a text ends here.
MAX_CHARACTERS = 200_000

_PLACE = re.compile(r"\\\{\{|\{\{(.*?)\}\}", re.DOTALL)
_REFERENCE = re.compile(r"[a-z]+(?:\.[A-Za-z0-9_-]+)+", re.ASCII)
_ALTERNATIVE = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^?"\s]+)\s*(\?\?|\Z)', re.DOTALL)


class TemplateError(ValueError):
    """A template that says nothing; the message says why, for who wrote it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One path into what is known: `parts[0]` is the root."""

    parts: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that stands in a template itself."""

    value: Json


@dataclass(frozen=True, slots=True)
class Template:
    """Alternatives, of which the first that is there counts."""

    alternatives: tuple[Reference | Constant, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A string with templates in it."""

    parts: tuple[str | Template, ...]


# JSON in which strings may be templates.
Filling = (
    None | bool | int | float | str | Template | Text | tuple["Filling", ...] | dict[str, "Filling"]
)


def parse_filling(value: Json) -> Filling:
    """Return JSON with its templates read. Raises TemplateError."""
    if isinstance(value, str):
        return _parse_text(value)
    if isinstance(value, Mapping):
        return {key: parse_filling(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return tuple(parse_filling(one) for one in value)
    return value  # type: ignore[return-value]  # what is left are scalars


def _parse_text(value: str) -> Filling:
    parts: list[str | Template] = []
    end = 0
    for found in _PLACE.finditer(value):
        parts.append(_plain(value[end : found.start()]))
        parts.append("{{" if found[1] is None else _parse_template(found[1]))
        end = found.end()
    parts.append(_plain(value[end:]))
    parts = [part for part in parts if part != ""]
    if len(parts) == 1 and isinstance(parts[0], Template):
        return parts[0]
    if all(isinstance(part, str) for part in parts):
        return "".join(part for part in parts if isinstance(part, str))
    return Text(tuple(parts))


def _plain(text: str) -> str:
    if "{{" in text:
        raise TemplateError("{{ without }}; two braces as such are written \\{{")
    return text


def _parse_template(inner: str) -> Template:
    alternatives: list[Reference | Constant] = []
    position = 0
    while True:
        found = _ALTERNATIVE.match(inner, position)
        if found is None:
            raise TemplateError(
                f"{{{{{_short(inner)}}}}} is no template; one is written "
                '{{ input.text }} or {{ steps.write.output.text ?? "nothing" }}'
            )
        alternatives.append(_parse_alternative(found[1]))
        position = found.end()
        if found[2] == "":
            return Template(tuple(alternatives))


def _parse_alternative(text: str) -> Reference | Constant:
    if _REFERENCE.fullmatch(text):
        return Reference(tuple(text.split(".")))
    try:
        return Constant(json.loads(text, parse_constant=_no_constant))
    except ValueError:
        pass
    if text in ROOTS:
        raise TemplateError(f"{text} alone is not a value; say which: {text}.name")
    raise TemplateError(f"{_short(text)} is neither a place like input.text nor a JSON value")


def _no_constant(text: str) -> None:
    raise ValueError(text)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "…"


def templates_in(filling: Filling) -> Iterator[Template]:
    """Every template of a value."""
    if isinstance(filling, Template):
        yield filling
    elif isinstance(filling, Text):
        yield from (part for part in filling.parts if isinstance(part, Template))
    elif isinstance(filling, Mapping):
        for one in filling.values():
            yield from templates_in(one)
    elif isinstance(filling, tuple):
        for one in filling:
            yield from templates_in(one)


_MISSING = object()


def fill(filling: Filling, known: Mapping[str, Json]) -> Json:
    """Return the value with all templates filled in from what is known, by root.

    Raises FailedPrecondition TEMPLATE_VALUE_MISSING or TEMPLATE_VALUE_TOO_LONG; neither holds what
    anybody typed.
    """
    if isinstance(filling, Template):
        return _value(filling, known)
    if isinstance(filling, Text):
        text = "".join(
            part if isinstance(part, str) else _as_text(_value(part, known))
            for part in filling.parts
        )
        if len(text) > MAX_CHARACTERS:
            raise FailedPrecondition(
                "TEMPLATE_VALUE_TOO_LONG", f"a text of more than {MAX_CHARACTERS} characters"
            )
        return text
    if isinstance(filling, Mapping):
        return {key: fill(one, known) for key, one in filling.items()}
    if isinstance(filling, tuple):
        return [fill(one, known) for one in filling]
    return filling


def is_there(template: Template, known: Mapping[str, Json]) -> bool:
    """Whether one of the alternatives is there and not null."""
    return any(_look_up(one, known) not in (_MISSING, None) for one in template.alternatives)


def _value(template: Template, known: Mapping[str, Json]) -> Json:
    # With alternatives null counts as not there, but as the last of them.
    found: object = _MISSING
    for one in template.alternatives:
        found = _look_up(one, known)
        if found is not _MISSING and found is not None:
            return found  # type: ignore[return-value]  # only JSON is known
    if found is _MISSING:
        names = " ?? ".join(str(one) for one in template.alternatives if isinstance(one, Reference))
        raise FailedPrecondition("TEMPLATE_VALUE_MISSING", f"there is no {names} here")
    return None


def _look_up(one: Reference | Constant, known: Mapping[str, Json]) -> object:
    if isinstance(one, Constant):
        return one.value
    value: object = known
    for part in one.parts:
        if isinstance(value, Mapping):
            value = value.get(part, _MISSING)
        elif isinstance(value, list | tuple) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _MISSING
        if value is _MISSING:
            return _MISSING
    return value


def _as_text(value: Json) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
