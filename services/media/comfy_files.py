"""configs/comfyui/: the nodes a workflow may be made of, and their definitions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, RootModel, StrictStr

from services.kit.catalogue import MAX_FILE_BYTES, Defect, parse_document
from services.media.domain.allowed_node import AllowedNode, AllowedNodes
from services.media.domain.node_definition import Definitions, parse_definitions
from services.media.domain.output_config import MediaKind

FOLDER = "comfyui"
ALLOWED_FILE, DEFINITIONS_FILE = "allowed_nodes.yaml", "node_definitions.json"
_CLASS = r"^[^\x00-\x1f]{1,120}$"
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
    folder = configs / FOLDER
    parsed = parse_document(folder / ALLOWED_FILE, _AllowedFile, defects)
    try:
        definitions = parse_definitions(read_object_info(folder / DEFINITIONS_FILE))
    except ValueError as error:
        defects.append(Defect(DEFINITIONS_FILE, "", str(error)))
        return None
    if parsed is None:
        return None
    allowed = {
        name: AllowedNode(one.models, one.uploads, one.saves, one.weight)
        for name, one in parsed.root.items()
    }
    return ComfyNodes(allowed, definitions)


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
