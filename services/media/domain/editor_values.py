"""Values the editor keeps by position, given back their names. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.media.domain.node_definition import InputDefinition, NodeDefinition

# What becomes of a number after a run; the editor keeps it right behind the number.
_CONTROLS = ("fixed", "increment", "decrement", "randomize")
# The button that sends a file, kept right behind the file's name.
_BUTTONS = ("image", "audio", "video", "upload")


def values_of(definition: NodeDefinition, values: object) -> dict[str, object]:
    """Return the inputs that `widgets_values` sets; inputs beyond them keep their defaults.

    Raises ValueError when there are more values than the definition has inputs for.
    """
    if isinstance(values, dict):
        return {name: value for name, value in values.items() if name in definition.inputs}
    if values is not None and not isinstance(values, list):
        raise ValueError("its values are no list")
    given = list(values or ())
    while given and given[-1] is None:
        given.pop()
    count = len(given)
    found: dict[str, object] = {}
    waiting = [spec for spec in definition.inputs.values() if spec.widget]
    while waiting:
        spec = waiting.pop(0)
        if not given:
            if spec.required and spec.default is not None:
                found[spec.name] = spec.default
            continue
        value = given.pop(0)
        found[spec.name] = _number(spec, value)
        if _is_controlled(spec, waiting, given) or (spec.upload and given[:1] in _ONE_BUTTON):
            given.pop(0)
        if spec.branches is not None:
            following = spec.branches.get(str(value), ())
            waiting = [replace(one, name=f"{spec.name}.{one.name}") for one in following] + waiting
    if given:
        raise ValueError(f"it has {count} values, {len(given)} more than its definition knows")
    return found


_ONE_BUTTON = [[button] for button in _BUTTONS]


def _is_controlled(
    spec: InputDefinition, waiting: Sequence[InputDefinition], given: Sequence[object]
) -> bool:
    if spec.type != "INT" or not given or given[0] not in _CONTROLS:
        return False
    # Where the definition does not say so, it may be the text of the next input.
    return spec.controlled or not waiting or waiting[0].type not in ("STRING", "COMBO")


def _number(spec: InputDefinition, value: object) -> object:
    if spec.type == "INT" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
