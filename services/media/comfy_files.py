"""configs/comfyui/: the nodes a workflow may be made of, and their definitions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, StrictStr

from services.kit.catalogue import MAX_FILE_BYTES, Defect, parse_document
from services.media.domain.allowed_node import AllowedNode, AllowedNodes
from services.media.domain.node_definition import (
    UPLOADS,
    Definitions,
    parse_definition,
    parse_definitions,
)
from services.media.domain.output_config import MediaKind

FOLDER = "comfyui"
ALLOWED_FILE, DEFINITIONS_FILE = "allowed_nodes.yaml", "node_definitions.json"
_CLASS = r"^[^\x00-\x1f]{1,120}$"
_GROUPS = ("required", "optional")
_OPTIONS = (
    *("default", "min", "max", "step", "multiline", "forceInput", "options"),
    *("control_after_generate", *UPLOADS),
)
_INPUT = r"^[A-Za-z0-9_. -]{1,120}$"


@dataclass(frozen=True, slots=True)
class ComfyNodes:
    """What workflows may be made of, and as far as known, what those nodes take and give."""

    allowed: AllowedNodes
    definitions: Definitions


class _Allowed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    models: dict[
        Annotated[str, Field(pattern=_INPUT)],
        Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")],
    ] = Field(default_factory=dict)
    uploads: tuple[Annotated[StrictStr, Field(pattern=_INPUT)], ...] = ()
    saves: tuple[MediaKind, ...] = ()
    weight: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0


class _AllowedFile(RootModel[dict[Annotated[str, Field(pattern=_CLASS)], _Allowed]]):
    pass


def load_comfy_nodes(configs: Path, defects: list[Defect]) -> ComfyNodes | None:
    """Return what configs/comfyui/ holds; on defects add them to the list and return None."""
    allowed = load_allowed_nodes(configs, defects)
    try:
        definitions = parse_definitions(read_object_info(configs / FOLDER / DEFINITIONS_FILE))
    except ValueError as error:
        defects.append(Defect(DEFINITIONS_FILE, "", str(error)))
        return None
    return None if allowed is None else ComfyNodes(allowed, definitions)


def load_allowed_nodes(configs: Path, defects: list[Defect]) -> AllowedNodes | None:
    """Return the classes a workflow may contain; on defects add them and return None."""
    parsed = parse_document(configs / FOLDER / ALLOWED_FILE, _AllowedFile, defects)
    if parsed is None:
        return None
    return {
        name: AllowedNode(one.models, one.uploads, one.saves, one.weight)
        for name, one in parsed.root.items()
    }


def condense(object_info: Mapping[str, Any], allowed: AllowedNodes) -> dict[str, Any]:
    """Return what a check needs of an answer of /object_info, for the allowed nodes.

    Which models an instance has is left out: that is its own, and changes.
    """
    found: dict[str, Any] = {}
    for name in sorted(set(allowed) & set(object_info)):
        node = object_info[name]
        if parse_definition(name, node) is None:
            continue
        groups = {group: node["input"].get(group) for group in _GROUPS}
        found[name] = {
            "input": {
                group: {
                    key: _spec(spec, models=key in allowed[name].models)
                    for key, spec in specs.items()
                }
                for group, specs in groups.items()
                if isinstance(specs, dict)
            },
            "output": ["COMBO" if isinstance(one, list) else one for one in node["output"]],
            "output_name": node.get("output_name", node["output"]),
            "output_node": node.get("output_node") is True,
        }
    return found


def _spec(spec: Any, *, models: bool) -> Any:
    kind = spec[0]
    options = dict(spec[1]) if len(spec) > 1 and isinstance(spec[1], dict) else {}
    if isinstance(kind, list):
        kind, options["options"] = "COMBO", kind
    kept = {key: options[key] for key in _OPTIONS if key in options}
    if models or any(options.get(key) for key in UPLOADS):
        kept.pop("options", None)
        kept.pop("default", None)
    return [kind, kept] if kept else [kind]


def written_definitions(found: Mapping[str, Any]) -> str:
    """The file: one line for each class."""
    lines = (f"  {json.dumps(name)}: {json.dumps(node)}" for name, node in found.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_object_info(path: Path) -> Mapping[str, object]:
    """Return a file that holds an answer of /object_info. Raises ValueError with the reason."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(error.strerror or "cannot be read") from error
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError("no JSON") from error
    if not isinstance(document, dict):
        raise ValueError("expected the object that /object_info answers")
    return document
