"""What ComfyUI's history says about a job: how it ended and which files it left."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from services.media.comfy.errors import protocol_error
from services.media.domain.workflow import MAIN_MODEL_INPUTS

_ENDINGS: Mapping[str, Literal["success", "error", "interrupted"]] = {
    "execution_success": "success",
    "execution_error": "error",
    "execution_interrupted": "interrupted",
}
_ANNOTATED = re.compile(r"\[(output|input|temp)\]\s*$")
_MAX_NAME_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file in ComfyUI's output folder; both names are only ever query values."""

    filename: str
    subfolder: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ended, from the last message of its status."""

    kind: Literal["success", "error", "interrupted"]
    outputs: Mapping[str, Any]
    node: str = ""
    node_type: str = ""
    exception_type: str = ""
    detail: str = ""
    model: str = ""


def parse_entry(entry: object) -> Ending:
    """Return how the job of a history entry ended. Raises COMFY_PROTOCOL."""
    if not isinstance(entry, dict) or not isinstance(entry.get("status"), dict):
        raise protocol_error("a history entry without status")
    outputs = entry.get("outputs")
    if not isinstance(outputs, dict):
        raise protocol_error("a history entry without outputs")
    status = entry["status"]
    for message in reversed(_messages(status.get("messages"))):
        name, data = message
        if name in _ENDINGS:
            return Ending(
                _ENDINGS[name],
                outputs,
                node=_text(data, "node_id"),
                node_type=_text(data, "node_type"),
                exception_type=_text(data, "exception_type"),
                detail=_text(data, "exception_message"),
                model=_model(entry.get("prompt")),
            )
    if status.get("status_str") in ("success", "error"):
        return Ending(status["status_str"], outputs, model=_model(entry.get("prompt")))
    raise protocol_error("a history entry without an ending")


def files_of(outputs: Mapping[str, Any], *nodes: str) -> list[OutputFile]:
    """Return the files these nodes left in the output folder, in order, under whatever key.

    Raises COMFY_PROTOCOL for shapes and names that ComfyUI does not give.
    """
    return [
        _file(item)
        for node in nodes
        for item in _items(_left_by(outputs, node))
        if item.get("type") == "output"
    ]


def texts_of(outputs: Mapping[str, Any], *nodes: str) -> list[str]:
    """Return the texts these nodes left, in order. Raises COMFY_PROTOCOL."""
    texts: list[str] = []
    for node in nodes:
        left = _left_by(outputs, node).get("text") or []
        if not isinstance(left, list):
            raise protocol_error("texts that are no list")
        texts += (text for text in left if isinstance(text, str) and text)
    return texts


def _left_by(outputs: Mapping[str, Any], node: str) -> Mapping[str, Any]:
    found = outputs.get(node, {})
    if not isinstance(found, dict):
        raise protocol_error("outputs that are no object")
    return found


def _items(outputs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for items in outputs.values():
        if not isinstance(items, (list, dict)):
            raise protocol_error("outputs that are no list")
        for item in [items] if isinstance(items, dict) else items:
            if isinstance(item, dict) and "filename" in item:
                yield item


def _file(item: Mapping[str, Any]) -> OutputFile:
    name, folder = item.get("filename"), item.get("subfolder", "")
    if not isinstance(name, str) or not isinstance(folder, str):
        raise protocol_error("a file without a name")
    # "a.png [input]" would be read from another folder than it says.
    bad = not name or _ANNOTATED.search(name) or "/" in name or "\\" in name
    for text in (name, folder):
        parts = text.replace("\\", "/").split("/")
        bad = bad or ".." in text or "\0" in text or len(text) > _MAX_NAME_CHARACTERS
        bad = bad or (len(parts) > 1 and parts[0] == "") or ":" in parts[0]
    if bad:
        raise protocol_error("a file name that leaves the output folder")
    return OutputFile(name, folder)


def _messages(value: object) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (message[0], message[1])
        for message in (value if isinstance(value, list) else [])
        if isinstance(message, list)
        and len(message) == 2
        and isinstance(message[0], str)
        and isinstance(message[1], dict)
    ]


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)[:80]


def _model(prompt: object) -> str:
    # [number, prompt id, graph, extra data, output nodes]; the graph is the one that ran.
    graph = prompt[2] if isinstance(prompt, list) and len(prompt) > 2 else None
    names: list[str] = []
    for node in graph.values() if isinstance(graph, dict) else ():
        class_type = node.get("class_type") if isinstance(node, dict) else None
        if isinstance(class_type, str) and class_type in MAIN_MODEL_INPUTS:
            inputs = node.get("inputs")
            value = inputs.get(MAIN_MODEL_INPUTS[class_type]) if isinstance(inputs, dict) else None
            if isinstance(value, str):
                names.append(value[:200])
    return ", ".join(sorted(names))
