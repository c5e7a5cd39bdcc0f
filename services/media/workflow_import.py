"""`artlab workflow import`: an exported workflow becomes an output config and a workflow file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.kit.catalogue import Defect, parse_document
from services.media.comfy_files import ComfyNodes
from services.media.domain.editor_format import convert
from services.media.domain.graph import (
    BATCH_INPUT,
    PREFIX_INPUT,
    Node,
    is_editor_format,
    link_of,
    upstream,
)
from services.media.domain.slot_draft import draft_loras, draft_slots
from services.media.domain.slot_inputs import SlotInputs
from services.media.domain.switches import without_switches
from services.media.domain.workflow import TEXT
from services.media.output_files import OutputFile, read_output

PREFIX = "artlab"
_DEADLINE_SECONDS = {"image": 300, "audio": 300, "music": 300, "video": 900}
_LINE_CHARACTERS = 100
_DIGITS = 6


class ImportRefused(ValueError):
    """The workflow cannot be taken in; `.reasons` says why, all at once."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("; ".join(reasons))


@dataclass(frozen=True, slots=True)
class Imported:
    """A config and its workflow as files would hold them, and what people should know."""

    name: str
    config: Mapping[str, Any]
    graph: Mapping[str, Any]
    notes: tuple[str, ...]

    @property
    def config_text(self) -> str:
        """The file of configs/output/."""
        return yaml.safe_dump(
            dict(self.config),
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=None,
            width=_LINE_CHARACTERS,
        )

    @property
    def graph_text(self) -> str:
        """The file of configs/workflows/."""
        return json.dumps(self.graph, indent=2, ensure_ascii=False) + "\n"


def import_workflow(
    document: object,
    name: str,
    nodes: ComfyNodes,
    *,
    title: str = "",
    output_node: str | None = None,
) -> Imported:
    """Return the config of a workflow in API format or in that of the editor.

    Raises ImportRefused: no allowed node saves an output or several do, a node is not allowed or
    unknown, no text leads to a sampler, or the result has a defect.
    """
    notes: list[str] = []
    graph, left_out = _graph(document, nodes)
    graph, switches = without_switches(graph)
    if switches:
        notes.append(f"switches stay as they stand: {', '.join(switches)}")
    saver = _saver(graph, left_out, nodes, output_node)
    wanted = upstream(graph, saver)
    unused = [key for key in graph if key not in wanted]
    if unused:
        notes.append(f"left out, the output does not need them: {_listed(graph, unused)}")
    found = {key: node for key, node in graph.items() if key in wanted}
    _refuse_foreign(found, left_out, nodes)
    found = _ours(found, notes)
    loras = draft_loras(found, notes)
    slots = draft_slots(SlotInputs(found, nodes.definitions, nodes.allowed), notes)
    missing = {
        "prompt": "no text leads to a sampler: nothing would take the prompt",
        "seed": "nothing takes a seed",
    }
    refused = [reason for slot, reason in missing.items() if slot not in slots]
    if refused:
        raise ImportRefused(refused)
    if loras is not None:
        slots["loras"] = loras
    kind = nodes.allowed[found[saver].class_type].saves[0]
    shown = title or name.replace("_", " ").capitalize()
    config = {
        "kind": kind,
        "backend": "comfyui",
        "title": {"en": shown, "de": shown},
        "deadline_seconds": _DEADLINE_SECONDS.get(kind, 300),
        "workflow": {"file": f"{name}.json", "output_node": saver},
        "slots": slots,
    }
    emptied = _emptied(found, slots)
    imported = Imported(name, config, emptied, tuple(notes))
    defects = defects_of(imported, nodes)
    if defects:
        raise ImportRefused(defects)
    return imported


def _graph(document: object, nodes: ComfyNodes) -> tuple[dict[str, Node], Mapping[str, str]]:
    left_out: Mapping[str, str] = {}
    if isinstance(document, dict) and is_editor_format(document):
        try:
            converted = convert(document, nodes.definitions)
        except ValueError as error:
            raise ImportRefused([f"in the editor's format, and {error}"]) from error
        document, left_out = converted.graph, converted.left_out
    if isinstance(document, dict) and isinstance(document.get("prompt"), dict):
        # As it is submitted, or kept in a picture.
        document = document["prompt"]
    found: dict[str, Node] = {}
    for key, value in document.items() if isinstance(document, dict) else ():
        class_type = value.get("class_type") if isinstance(value, dict) else None
        inputs = value.get("inputs") if isinstance(value, dict) else None
        if not isinstance(class_type, str) or not isinstance(inputs, dict):
            raise ImportRefused([f"{str(key)[:40]} is no node: this is no workflow of ComfyUI"])
        found[str(key)] = Node(class_type, inputs)
    if not found and not left_out:
        raise ImportRefused(["there is no node in it: this is no workflow of ComfyUI"])
    return found, left_out


def _saver(
    graph: Mapping[str, Node],
    left_out: Mapping[str, str],
    nodes: ComfyNodes,
    output_node: str | None,
) -> str:
    savers = [
        key
        for key, node in graph.items()
        if node.class_type in nodes.allowed and nodes.allowed[node.class_type].saves
    ]
    if output_node is not None:
        if output_node in savers:
            return output_node
        raise ImportRefused([f"{output_node} is no node that saves an output"])
    # A text that is shown beside a picture is seldom what a workflow is for.
    filed = [key for key in savers if nodes.allowed[graph[key].class_type].saves != (TEXT,)]
    savers = filed or savers
    if len(savers) == 1:
        return savers[0]
    if savers:
        raise ImportRefused([f"several nodes save: choose one of {_listed(graph, savers)}"])
    known = sorted(name for name, node in nodes.allowed.items() if node.saves)
    reasons = [f"no allowed node saves an output; {', '.join(known)} do"]
    raise ImportRefused(reasons + [f"node {key}: {reason}" for key, reason in left_out.items()])


def _refuse_foreign(
    graph: Mapping[str, Node], left_out: Mapping[str, str], nodes: ComfyNodes
) -> None:
    reasons = [
        f"node {key}: {node.class_type[:80]} is not an allowed node"
        for key, node in graph.items()
        if node.class_type not in nodes.allowed
    ]
    reasons += [
        f"node {key}: there is no definition of {node.class_type[:80]} here"
        for key, node in graph.items()
        if node.class_type in nodes.allowed and node.class_type not in nodes.definitions
    ]
    needed = {
        link[0]
        for node in graph.values()
        for value in node.inputs.values()
        if (link := link_of(value)) is not None
    }
    for key in sorted(needed & set(left_out)):
        class_type = left_out[key].partition(":")[0]
        reason = left_out[key] if class_type in nodes.allowed else f"{class_type} is not allowed"
        reasons.append(f"node {key}: {reason}")
    if reasons:
        raise ImportRefused(reasons)


def _ours(graph: Mapping[str, Node], notes: list[str]) -> dict[str, Node]:
    """One output under our own prefix, whatever the workflow said."""
    found: dict[str, Node] = {}
    for key, node in graph.items():
        inputs = dict(node.inputs)
        if PREFIX_INPUT in inputs:
            inputs[PREFIX_INPUT] = PREFIX
        if BATCH_INPUT in inputs and inputs[BATCH_INPUT] != 1:
            notes.append(f"{key}.{BATCH_INPUT} is 1 now: one output per config")
            inputs[BATCH_INPUT] = 1
        found[key] = Node(node.class_type, inputs)
    return found


def _emptied(graph: Mapping[str, Node], slots: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The graph for a file, without somebody's prompt, seed and pictures in it."""
    inputs = {
        key: {name: _tidy(value) for name, value in node.inputs.items()}
        for key, node in graph.items()
    }
    for name, slot in slots.items():
        for key, target in slot["set"].items():
            if name == "prompt":
                inputs[key][target] = ""
            elif name == "seed":
                inputs[key][target] = 0
            elif slot.get("kind") == "image":
                inputs[key][target] = "input_image.png"
    return {
        key: {"class_type": node.class_type, "inputs": inputs[key]} for key, node in graph.items()
    }


def _tidy(value: object) -> object:
    # The editor's sliders leave 3.1000000000000005 where 3.1 was meant.
    return round(value, _DIGITS) if isinstance(value, float) else value


def defects_of(imported: Imported, nodes: ComfyNodes) -> list[str]:
    """Read the files as the services will; return what they would object to."""
    defects: list[Defect] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{imported.name}.yaml")
        file.write_text(imported.config_text, encoding="utf-8")
        Path(folder, f"{imported.name}.json").write_text(imported.graph_text, encoding="utf-8")
        parsed = parse_document(file, OutputFile, defects)
        if parsed is not None:
            read_output(imported.name, parsed, file.name, Path(folder), nodes, defects)
    return [str(defect) for defect in sorted(defects)]


def _listed(graph: Mapping[str, Node], keys: Sequence[str]) -> str:
    return ", ".join(f"{key} ({graph[key].class_type[:40]})" for key in keys)
