"""The output configs of an installation: configs/output/, the workflows they name, the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StrictStr

from services.kit.catalogue import CatalogueError, Defect, parse_document, parse_folder
from services.media.comfy_files import load_comfy_nodes
from services.media.domain.fallback import check_chains
from services.media.domain.output_config import MediaKind, OutputConfig
from services.media.output_files import BUILTIN, OutputFile, read_output

Mode = Literal["eco", "fast"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class OutputCatalogue:
    """Every output config by name, and which to try in order when nobody chose one."""

    configs: Mapping[str, OutputConfig]
    defaults: Mapping[tuple[MediaKind, Mode], tuple[str, ...]]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Names = Annotated[tuple[StrictStr, ...], Field(min_length=1)]


class _Modes(_File):
    eco: _Names
    fast: _Names


class _Defaults(_File):
    text: _Modes | None = None
    image: _Modes | None = None
    audio: _Modes | None = None
    music: _Modes | None = None
    video: _Modes | None = None
    code: _Modes | None = None


def load_output_catalogue(configs: Path) -> OutputCatalogue:
    """Return what configs/output/, workflows/, comfyui/ and output_defaults.yaml hold.

    Raises CatalogueError with every defect found.
    """
    defects: list[Defect] = []
    folder = configs / "output"
    files = {path.stem: path.name for path in folder.iterdir()} if folder.is_dir() else {}
    outputs: dict[str, OutputConfig] = {}
    nodes = load_comfy_nodes(configs, defects)
    for name, parsed in parse_folder(folder, OutputFile, defects).items():
        found = read_output(name, parsed, files[name], configs / "workflows", nodes, defects)
        if found is not None:
            outputs[name] = found
    chains = check_chains(outputs, files) if nodes is not None else ()
    defects += [Defect(files[name], field, reason) for name, field, reason in chains]
    defaults_file = configs / "output_defaults.yaml"
    defaults = parse_document(defaults_file, _Defaults, defects)
    chosen = {}
    if defaults is not None and nodes is not None:
        chosen = _defaults(defaults, outputs, defaults_file.name, defects)
    if defects:
        raise CatalogueError(defects)
    return OutputCatalogue(outputs, chosen)


def _defaults(
    parsed: _Defaults, outputs: Mapping[str, OutputConfig], file: str, defects: list[Defect]
) -> dict[tuple[MediaKind, Mode], tuple[str, ...]]:
    found: dict[tuple[MediaKind, Mode], tuple[str, ...]] = {}
    kinds: tuple[MediaKind, ...] = get_args(MediaKind)
    for kind in kinds:
        modes: _Modes | None = getattr(parsed, kind)
        for mode in MODES if modes is not None else ():
            names: tuple[str, ...] = getattr(modes, mode)
            field = f"{kind}.{mode}"
            if len(set(names)) != len(names):
                defects.append(Defect(file, field, "a name twice"))
            for name in names:
                if name not in outputs:
                    defects.append(Defect(file, field, f"there is no output {name[:64]}"))
                elif outputs[name].kind != kind:
                    defects.append(Defect(file, field, f"{name} makes {outputs[name].kind}"))
            last = outputs.get(names[-1])
            if last is not None and last.backend != BUILTIN:
                defects.append(Defect(file, field, "must end in a built-in output"))
            found[kind, mode] = names
    return found
