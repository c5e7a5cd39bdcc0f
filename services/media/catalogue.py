"""The output configs of an installation: configs/output/, the workflows they name, the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from services.kit.catalogue import (
    CatalogueError,
    Defect,
    load_document,
    parse_document,
    parse_folder,
)
from services.kit.errors import InvalidArgument
from services.media.domain.output_config import MediaKind, OutputConfig, Slot, SlotKind, Value
from services.media.domain.workflow import Target, Workflow, WorkflowError, parse_workflow

Mode = Literal["eco", "fast"]
MODES: tuple[Mode, ...] = get_args(Mode)
BUILTIN, COMFYUI = "builtin", "comfyui"
# Slots every workflow has and no request sets by name.
_OURS = ("prompt", "seed")
_NODE_ID = r"^[A-Za-z0-9_.:-]{1,64}$"
_SLOT_NAME = r"^[a-z][a-z0-9_]{0,39}$"


@dataclass(frozen=True, slots=True)
class OutputCatalogue:
    """Every output config by name, and which to try in order when nobody chose one."""

    configs: Mapping[str, OutputConfig]
    defaults: Mapping[tuple[MediaKind, Mode], tuple[str, ...]]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Slot(_File):
    kind: SlotKind | None = None
    default: StrictBool | StrictInt | StrictFloat | StrictStr | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[StrictStr, ...] = ()
    multiple_of: Annotated[int, Field(ge=1, le=1024)] | None = None
    set: dict[Annotated[str, Field(pattern=_NODE_ID)], StrictStr] = Field(default_factory=dict)


class _WorkflowFile(_File):
    file: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}\.json$")]
    output_node: Annotated[str, Field(pattern=_NODE_ID)]


class _Output(_File):
    kind: MediaKind
    backend: Literal["builtin", "comfyui"]
    title: dict[Annotated[str, Field(pattern=r"^[a-z]{2}$")], Annotated[str, Field(min_length=1)]]
    deadline_seconds: Annotated[float, Field(gt=0, le=3600)] = 300.0
    workflow: _WorkflowFile | None = None
    slots: dict[Annotated[str, Field(pattern=_SLOT_NAME)], _Slot] = Field(default_factory=dict)


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
    """Return what configs/output/, configs/workflows/ and configs/output_defaults.yaml hold.

    Raises CatalogueError with every defect found.
    """
    defects: list[Defect] = []
    folder = configs / "output"
    files = {path.stem: path.name for path in folder.iterdir()} if folder.is_dir() else {}
    outputs: dict[str, OutputConfig] = {}
    for name, parsed in parse_folder(folder, _Output, defects).items():
        found = _output(name, parsed, configs / "workflows", files[name], defects)
        if found is not None:
            outputs[name] = found
    defaults_file = configs / "output_defaults.yaml"
    defaults = parse_document(defaults_file, _Defaults, defects)
    chosen = {} if defaults is None else _defaults(defaults, outputs, defaults_file.name, defects)
    if defects:
        raise CatalogueError(defects)
    return OutputCatalogue(outputs, chosen)


def _output(
    name: str, parsed: _Output, workflows: Path, file: str, defects: list[Defect]
) -> OutputConfig | None:
    before = len(defects)
    for language in ("de", "en"):
        if language not in parsed.title:
            defects.append(Defect(file, f"title.{language}", "missing"))
    slots = {
        key: slot
        for key, found in parsed.slots.items()
        if key not in _OURS and (slot := _slot(key, found, file, defects)) is not None
    }
    for key in _OURS:
        found = parsed.slots.get(key)
        if found is not None and found.model_fields_set != {"set"}:
            defects.append(Defect(file, f"slots.{key}", "takes `set` and nothing else"))
    options: dict[str, object] = {}
    if parsed.backend == COMFYUI:
        workflow = _workflow(parsed, workflows, file, defects)
        options["workflow"] = workflow
    else:
        if parsed.workflow is not None:
            defects.append(Defect(file, "workflow", "only comfyui has workflows"))
        for key, found in parsed.slots.items():
            if found.set or key in _OURS:
                defects.append(Defect(file, f"slots.{key}", "only comfyui has inputs to set"))
    if len(defects) > before:
        return None
    return OutputConfig(
        name=name,
        kind=parsed.kind,
        backend=parsed.backend,
        title=parsed.title,
        slots=slots,
        deadline_seconds=parsed.deadline_seconds,
        backend_options=options,
    )


def _slot(name: str, parsed: _Slot, file: str, defects: list[Defect]) -> Slot | None:
    field = f"slots.{name}"
    if parsed.kind is None or parsed.default is None:
        defects.append(Defect(file, field, "needs kind and default"))
        return None
    numeric = parsed.kind in ("integer", "number")
    bounded = parsed.minimum is not None and parsed.maximum is not None
    if numeric != bounded or (not numeric and (parsed.minimum, parsed.maximum) != (None, None)):
        defects.append(Defect(file, field, "numbers, and only they, need minimum and maximum"))
        return None
    if (parsed.kind == "choice") != bool(parsed.choices):
        defects.append(Defect(file, f"{field}.choices", "for kind choice, and only there"))
        return None
    if parsed.multiple_of is not None and parsed.kind != "integer":
        defects.append(Defect(file, f"{field}.multiple_of", "for kind integer only"))
        return None
    default: Value = parsed.default
    slot = Slot(
        name=name,
        kind=parsed.kind,
        default=default,
        minimum=parsed.minimum,
        maximum=parsed.maximum,
        choices=parsed.choices,
        multiple_of=parsed.multiple_of,
    )
    try:
        slot.parse(default, field)
    except InvalidArgument as error:
        defects.append(Defect(file, f"{field}.default", error.message))
        return None
    return slot


def _workflow(
    parsed: _Output, workflows: Path, file: str, defects: list[Defect]
) -> Workflow | None:
    if parsed.workflow is None:
        defects.append(Defect(file, "workflow", "missing"))
        return None
    path = workflows / parsed.workflow.file
    try:
        document = load_document(path)
    except ValueError as error:
        defects.append(Defect(file, "workflow.file", f"{path.name}: {error}"))
        return None
    targets = {
        name: tuple(Target(node, name_of) for node, name_of in slot.set.items())
        for name, slot in parsed.slots.items()
    }
    try:
        return parse_workflow(path.stem, document, targets, parsed.workflow.output_node)
    except WorkflowError as error:
        for field, reason in error.defects:
            ours = field.startswith(("slots.", "workflow."))
            defects.append(Defect(file if ours else path.name, field, reason))
        return None


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
