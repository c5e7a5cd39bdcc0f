"""One file of configs/output/ and the workflow it names, as an output config."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from services.kit.catalogue import Defect, load_document
from services.kit.errors import InvalidArgument
from services.media.comfy_files import ComfyNodes
from services.media.domain.fallback import MAX_CHAIN
from services.media.domain.graph_check import check_graph
from services.media.domain.lora import MAX_LORAS, Lora
from services.media.domain.output_config import (
    Cost,
    MediaKind,
    OutputConfig,
    Slot,
    SlotKind,
    Value,
)
from services.media.domain.slot_check import check_slots
from services.media.domain.standard_slot import check_standard
from services.media.domain.workflow import Target, Workflow, WorkflowError, parse_workflow
from services.media.hosted_options import HOSTED, read_options

BUILTIN, COMFYUI = "builtin", "comfyui"
# Who writes sketches.
_AUTHORS = (BUILTIN, "code")
# Slots every workflow has and no request sets by name.
_OURS = ("prompt", "seed")
_NODE_ID = r"^[A-Za-z0-9_.:-]{1,64}$"
_NodeId = Annotated[str, Field(pattern=_NODE_ID)]
_SLOT_NAME = r"^[a-z][a-z0-9_]{0,39}$"
_LORA_FILE = r"^[^/\\\x00-\x1f][^\\\x00-\x1f]{0,199}$"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Lora(_File):
    file: Annotated[str, Field(pattern=_LORA_FILE)]
    strength: Annotated[float, Field(allow_inf_nan=False)] = 1.0


class _Slot(_File):
    kind: SlotKind | None = None
    default: StrictBool | StrictInt | StrictFloat | StrictStr | None = None
    minimum: Annotated[float, Field(allow_inf_nan=False)] | None = None
    maximum: Annotated[float, Field(allow_inf_nan=False)] | None = None
    choices: tuple[StrictStr, ...] = ()
    multiple_of: Annotated[int, Field(ge=1, le=1024)] | None = None
    remainder: Annotated[int, Field(ge=0, le=1023)] = 0
    loras: dict[Annotated[str, Field(pattern=_SLOT_NAME)], _Lora] = Field(default_factory=dict)
    at_most: Annotated[int, Field(ge=1, le=MAX_LORAS)] = 1
    set: dict[Annotated[str, Field(pattern=_NODE_ID)], StrictStr] = Field(default_factory=dict)


class _WorkflowFile(_File):
    file: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}\.json$")]
    # Several when one run makes several files that belong together, in their order.
    output_node: _NodeId | Annotated[tuple[_NodeId, ...], Field(min_length=1, max_length=8)]


class _Cost(_File):
    amount: Annotated[Decimal, Field(ge=0, le=1000, allow_inf_nan=False)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    # Every file that is made; there is no other measure yet.
    per: Literal["image", "file"] = "file"


class OutputFile(_File):
    """A file of configs/output/, its fields of the right types and nothing more."""

    kind: MediaKind
    backend: Literal[
        "builtin",
        "code",
        "comfyui",
        "swarmui",
        "openai_images",
        "openrouter",
        "huggingface",
        "replicate",
    ]
    title: dict[Annotated[str, Field(pattern=r"^[a-z]{2}$")], Annotated[str, Field(min_length=1)]]
    deadline_seconds: Annotated[float, Field(gt=0, le=3600)] = 300.0
    keep_metadata: StrictBool = False
    # How its model wants a prompt: a file of configs/prompt_styles.
    prompt_style: Annotated[str, Field(pattern=r"^[a-z0-9_]{0,64}$")] = ""
    workflow: _WorkflowFile | None = None
    # Judged by the options of the backend named.
    options: dict[StrictStr, Any] | None = None
    # For which library a sketch is written.
    library: Literal["p5js", "tonejs"] | None = None
    cost: _Cost | None = None
    fallback: Annotated[tuple[StrictStr, ...], Field(max_length=MAX_CHAIN - 1)] = ()
    slots: dict[Annotated[str, Field(pattern=_SLOT_NAME)], _Slot] = Field(default_factory=dict)


def read_output(
    name: str,
    parsed: OutputFile,
    file: str,
    workflows: Path,
    nodes: ComfyNodes | None,
    defects: list[Defect],
) -> OutputConfig | None:
    """Return the output config of a file; on defects add them to the list and return None.

    Without `nodes` (they have defects of their own) workflows are not judged.
    """
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
    if parsed.backend != COMFYUI:
        _check_plain(parsed, file, defects)
    elif parsed.workflow is None:
        defects.append(Defect(file, "workflow", "missing"))
    elif nodes is not None:
        options["workflow"] = _workflow(
            parsed, parsed.workflow, slots, file, workflows, nodes, defects
        )
    options |= _library(parsed, file, defects)
    if parsed.backend in HOSTED:
        options["options"] = read_options(
            HOSTED[parsed.backend], parsed.kind, parsed.options, slots, file, defects
        )
    elif parsed.options is not None:
        defects.append(Defect(file, "options", f"{parsed.backend} has no options"))
    if len(defects) > before or (nodes is None and parsed.backend == COMFYUI):
        return None
    return OutputConfig(
        name=name,
        kind=parsed.kind,
        backend=parsed.backend,
        title=parsed.title,
        slots=slots,
        deadline_seconds=parsed.deadline_seconds,
        keep_metadata=parsed.keep_metadata,
        prompt_style=parsed.prompt_style,
        backend_options=options,
        cost=Cost(parsed.cost.amount, parsed.cost.currency) if parsed.cost is not None else None,
        fallback=parsed.fallback,
    )


def _library(parsed: OutputFile, file: str, defects: list[Defect]) -> dict[str, object]:
    if parsed.backend == "code" and parsed.kind != "code":
        defects.append(Defect(file, "kind", "this backend makes code"))
    writes = parsed.kind == "code" and parsed.backend in _AUTHORS
    if writes != (parsed.library is not None):
        reason = "missing" if writes else f"only for code of {' or '.join(_AUTHORS)}"
        defects.append(Defect(file, "library", reason))
    return {"library": parsed.library} if writes else {}


def _check_plain(parsed: OutputFile, file: str, defects: list[Defect]) -> None:
    if parsed.workflow is not None:
        defects.append(Defect(file, "workflow", "only comfyui has workflows"))
    for key, found in parsed.slots.items():
        if found.set or key in _OURS or found.kind in ("image", "loras"):
            defects.append(Defect(file, f"slots.{key}", "only comfyui has inputs to set"))


def _slot(name: str, parsed: _Slot, file: str, defects: list[Defect]) -> Slot | None:
    field = f"slots.{name}"
    wrong = _wrong_fields(parsed)
    if wrong is not None:
        part, reason = wrong
        defects.append(Defect(file, f"{field}.{part}" if part else field, reason))
        return None
    assert parsed.kind is not None  # or _wrong_fields had told
    default: Value = "" if parsed.default is None else parsed.default
    slot = Slot(
        name=name,
        kind=parsed.kind,
        default=default,
        minimum=parsed.minimum,
        maximum=parsed.maximum,
        choices=parsed.choices,
        multiple_of=parsed.multiple_of,
        remainder=parsed.remainder,
        loras={key: Lora(found.file, found.strength) for key, found in parsed.loras.items()},
        at_most=parsed.at_most,
    )
    unusual = check_standard(slot)
    if unusual is not None:
        defects.append(Defect(file, f"{field}.{unusual[0]}", unusual[1]))
        return None
    if slot.kind == "image":
        return slot
    try:
        slot.parse(default, field)
        for lora in slot.loras:
            slot.parse(lora, field)
    except InvalidArgument as error:
        defects.append(Defect(file, f"{field}.default", error.message))
        return None
    return slot


def _wrong_fields(parsed: _Slot) -> tuple[str, str] | None:
    """Part of the slot and reason, where its fields do not go together."""
    kind = parsed.kind
    if kind is None or (parsed.default is None) != (kind == "image"):
        return "", "needs kind and, unless it is an image, default"
    bounds = (parsed.minimum, parsed.maximum)
    if (kind in ("integer", "number", "loras")) != (None not in bounds) or (
        bounds.count(None) == 1
    ):
        return "", "numbers and loras, and only they, need minimum and maximum"
    if (kind == "choice") != bool(parsed.choices):
        return "choices", "for kind choice, and only there"
    if (kind == "loras") != bool(parsed.loras):
        return "loras", "for kind loras, and only there"
    if parsed.multiple_of is not None and kind != "integer":
        return "multiple_of", "for kind integer only"
    if parsed.remainder >= (parsed.multiple_of or 1):
        return "remainder", "less than multiple_of"
    return None


def _workflow(
    parsed: OutputFile,
    named: _WorkflowFile,
    slots: dict[str, Slot],
    file: str,
    workflows: Path,
    nodes: ComfyNodes,
    defects: list[Defect],
) -> Workflow | None:
    path = workflows / named.file
    try:
        document = load_document(path)
    except ValueError as error:
        defects.append(Defect(file, "workflow.file", f"{path.name}: {error}"))
        return None
    targets = {
        name: tuple(Target(node, name_of) for node, name_of in slot.set.items())
        for name, slot in parsed.slots.items()
    }
    found: list[tuple[str, str]] = []
    workflow = None
    try:
        workflow = parse_workflow(
            path.stem,
            document,
            targets,
            named.output_node,
            nodes.allowed,
            slots=slots,
            kind=parsed.kind,
        )
        wrong = check_graph(workflow.nodes, nodes.definitions, partial=True)
        found += [(one.field, one.reason) for one in wrong]
        found += check_slots(workflow, slots, nodes.definitions)
    except WorkflowError as error:
        found += error.defects
    for field, reason in found:
        ours = field.startswith(("slots.", "workflow."))
        defects.append(Defect(file if ours else path.name, field, reason))
    return workflow
