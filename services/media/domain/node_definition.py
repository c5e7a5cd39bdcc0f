"""Definitions of ComfyUI's nodes, as /object_info tells them. Pure.

An input is `[type, options]`, a choice `[[values], options]` or, of newer nodes,
`["COMBO", {"options": [values]}]`. The inputs that follow from a dynamic choice are named flat,
`format.bit_depth` beside `format`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

COMBO, DYNAMIC = "COMBO", "COMFY_DYNAMICCOMBO_V3"
_GROWING = "COMFY_AUTOGROW_V3"
_WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", COMBO, DYNAMIC)
# Options of an input that names a file somebody sends.
UPLOADS = ("image_upload", "audio_upload", "video_upload")
# Inputs of these names are followed in the editor by what becomes of them after a run.
_SEEDS = ("seed", "noise_seed")


@dataclass(frozen=True, slots=True)
class InputDefinition:
    """One input of a class of node.

    `choices` is None where any value will do or the definition does not say; `branches` of a
    dynamic choice are the inputs that follow from each of its values, None where unknown.
    """

    name: str
    type: str
    required: bool
    choices: tuple[object, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    default: object = None
    multiline: bool = False
    # A file is sent to the instance for it: what stands in the list says nothing.
    upload: bool = False
    # Its value is typed in the editor, not linked.
    widget: bool = False
    # The editor keeps what becomes of it after a run beside its value.
    controlled: bool = False
    branches: Mapping[str, tuple[InputDefinition, ...]] | None = None

    @property
    def grows(self) -> bool:
        """Whether inputs named `name.…` belong to it."""
        return self.type in (DYNAMIC, _GROWING)


@dataclass(frozen=True, slots=True)
class NodeDefinition:
    """One class of node: inputs in the order of the editor, types and names of its outputs."""

    name: str
    inputs: Mapping[str, InputDefinition]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]
    is_output: bool


Definitions = Mapping[str, NodeDefinition]


def parse_definitions(object_info: Mapping[str, object]) -> dict[str, NodeDefinition]:
    """Return every definition in an answer of /object_info; what is no definition is left out."""
    found = {name: parse_definition(name, value) for name, value in object_info.items()}
    return {name: definition for name, definition in found.items() if definition is not None}


def parse_definition(name: str, value: object) -> NodeDefinition | None:
    """Return one definition of /object_info, None for what is none."""
    if not isinstance(value, dict) or not isinstance(value.get("input"), dict):
        return None
    outputs = value.get("output")
    names = value.get("output_name")
    types = tuple(_type_name(found) for found in outputs) if isinstance(outputs, list) else ()
    return NodeDefinition(
        name=name,
        inputs=_inputs(value["input"], value.get("input_order")),
        outputs=types,
        output_names=tuple(map(str, names)) if isinstance(names, list) else types,
        is_output=value.get("output_node") is True,
    )


def _inputs(groups: Mapping[str, object], order: object) -> dict[str, InputDefinition]:
    found: dict[str, InputDefinition] = {}
    for group in ("required", "optional"):
        specs = groups.get(group)
        if not isinstance(specs, dict):
            continue
        names = order.get(group) if isinstance(order, dict) else None
        ordered = [name for name in names if name in specs] if isinstance(names, list) else []
        for name in dict.fromkeys([*ordered, *specs]):
            parsed = _input(str(name), specs[name], required=group == "required")
            if parsed is not None:
                found[parsed.name] = parsed
    return found


def _input(name: str, spec: object, *, required: bool) -> InputDefinition | None:
    if not isinstance(spec, list) or not spec:
        return None
    options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
    kind = _type_name(spec[0])
    upload = any(options.get(key) is True for key in UPLOADS)
    listed = spec[0] if isinstance(spec[0], list) else options.get("options")
    choices = tuple(listed) if kind == COMBO and isinstance(listed, list) and not upload else None
    branches = None
    if kind == DYNAMIC and isinstance(listed, list):
        branches = {
            str(branch["key"]): tuple(_inputs(branch["inputs"], None).values())
            for branch in listed
            if isinstance(branch, dict) and "key" in branch
            if isinstance(branch.get("inputs"), dict)
        }
        choices = tuple(branches)
    return InputDefinition(
        name=name,
        type=kind,
        required=required,
        choices=choices,
        minimum=_number(options.get("min")),
        maximum=_number(options.get("max")),
        step=_number(options.get("step")),
        default=options.get("default"),
        multiline=options.get("multiline") is True,
        upload=upload,
        widget=kind in _WIDGETS and options.get("forceInput") is not True,
        controlled=options.get("control_after_generate") is True
        or (kind == "INT" and name in _SEEDS),
        branches=branches,
    )


def _type_name(value: object) -> str:
    return COMBO if isinstance(value, list) else str(value)


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
