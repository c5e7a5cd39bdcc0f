"""POST /prompt: what ComfyUI refuses, and how it says so (recording 03).

Written after the recordings and apart from the project's own check of graphs, so that each finds
what the other overlooks.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

Nodes = Mapping[str, Mapping[str, Any]]
Errors = dict[str, list[dict[str, Any]]]
_UPLOADS = ("image_upload", "audio_upload", "video_upload")


@dataclass
class Verdict:
    """`error` is the body of a 400; `outputs` are the output nodes that will run."""

    error: dict[str, Any] | None = None
    node_errors: dict[str, Any] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)


def check_prompt_id(value: object) -> str | None:
    """The id to use: the caller's if canonical, a new one for none, None for a bad one."""
    if value is None:
        return str(uuid.uuid4())
    try:
        canonical = isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return None
    return str(value) if canonical else None


def error_body(kind: str, message: str, details: str = "", **extra: Any) -> dict[str, Any]:
    """The `error` object of a refusal."""
    return {"type": kind, "message": message, "details": details, "extra_info": extra}


def validate(
    prompt: Mapping[str, Any], nodes: Nodes, uploaded: Collection[str] | None = None
) -> Verdict:
    """Check every node that an output needs. `uploaded` names the pictures that are there.

    Raises AttributeError for a node that is no object: ComfyUI answers 500.
    """
    for key, node in prompt.items():
        class_type = node.get("class_type")
        if class_type not in nodes:
            return Verdict(_missing(key, node))
    outputs = [key for key, node in prompt.items() if nodes[node["class_type"]]["output_node"]]
    if not outputs:
        return Verdict(error_body("prompt_no_outputs", "Prompt has no outputs"))
    verdict, details = Verdict(), ""
    for output in outputs:
        found: Errors = {}
        try:
            _visit(output, prompt, nodes, uploaded, found, {}, ())
        except _ERRORS as error:
            found[output] = [_exception(error)]
            details = details or (
                f"Exception when validating node: {error}" if str(error) == "'inputs'" else ""
            )
        for key, errors in found.items():
            entry = verdict.node_errors.setdefault(
                key,
                {
                    "errors": errors,
                    "dependent_outputs": [],
                    "class_type": prompt[key]["class_type"],
                },
            )
            entry["dependent_outputs"].append(output)
        if not found:
            verdict.outputs.append(output)
    if not verdict.outputs:
        verdict.error = error_body(
            "prompt_outputs_failed_validation", "Prompt outputs failed validation", details
        )
    return verdict


_ERRORS = (KeyError, IndexError)


def needed(prompt: Mapping[str, Any], output: str) -> list[str]:
    """The nodes an output needs, in an order in which they can run."""
    done: list[str] = []

    def visit(key: str, path: tuple[str, ...]) -> None:
        if key in done or key in path or key not in prompt:
            return
        for value in prompt[key]["inputs"].values():
            if isinstance(value, list) and len(value) == 2:
                visit(value[0], (*path, key))
        done.append(key)

    visit(output, ())
    return done


def _missing(key: str, node: Mapping[str, Any]) -> dict[str, Any]:
    class_type = node.get("class_type")
    title = node.get("_meta", {}).get("title", class_type)
    message = f"Node '{title}' not found. The custom node may not be installed."
    if class_type is None:
        message = (
            f"Node 'ID #{key}' has no class_type. "
            "The workflow may be corrupted or a custom node is missing."
        )
    extra = {"node_id": key, "class_type": class_type, "node_title": title}
    return error_body("missing_node_type", message, f"Node ID '#{key}'", **extra)


def _visit(
    key: str,
    prompt: Mapping[str, Any],
    nodes: Nodes,
    uploaded: Collection[str] | None,
    found: Errors,
    done: dict[str, bool],
    path: tuple[str, ...],
) -> bool:
    """Whether a node and all it needs are well. Raises for links to nowhere."""
    if key in done:
        return done[key]
    node = prompt[key]
    inputs, errors = node["inputs"], []
    for name, spec, required in _specs(node, nodes[node["class_type"]]["input"]):
        if name not in inputs:
            if required:
                message = "Required input is missing"
                errors.append(error_body("required_input_missing", message, name, input_name=name))
            continue
        value = inputs[name]
        if isinstance(value, list):
            errors += _link(key, name, spec, prompt, nodes, found)
            if not errors and isinstance(value[0], str) and value[0] in prompt:
                errors += _further(key, name, spec, prompt, nodes, uploaded, found, done, path)
        else:
            errors += _value(name, value, spec, uploaded)
    if errors:
        found.setdefault(key, []).extend(errors)
    done[key] = not errors
    return done[key]


def _further(
    key: str,
    name: str,
    spec: list[Any],
    prompt: Mapping[str, Any],
    nodes: Nodes,
    uploaded: Collection[str] | None,
    found: Errors,
    done: dict[str, bool],
    path: tuple[str, ...],
) -> list[dict[str, Any]]:
    source = prompt[key]["inputs"][name][0]
    circle = (*path, key)
    if source in circle:
        members = circle[circle.index(source) :]
        told = " -> ".join(f"{one} ({prompt[one]['class_type']})" for one in (*members, source))
        for one in members:
            extra = {"node_id": one, "cycle_nodes": list(members)}
            error = error_body("dependency_cycle", "Dependency cycle detected", told, **extra)
            found.setdefault(one, []).append(error)
        return []
    try:
        _visit(source, prompt, nodes, uploaded, found, done, circle)
    except _ERRORS as error:
        kind, message = "exception_during_inner_validation", "Exception when validating inner node"
        extra = _exception_facts(error) | {
            "input_name": name,
            "input_config": spec,
            "exception_message": str(error),
            "linked_node": prompt[key]["inputs"][name],
        }
        # As recorded: it is told of the node that is linked, not of the one that links.
        found.setdefault(source, []).append(error_body(kind, message, str(error), **extra))
    return []


def _exception(error: BaseException) -> dict[str, Any]:
    message = "Exception when validating node"
    facts = _exception_facts(error)
    return error_body("exception_during_validation", message, str(error), **facts)


def _exception_facts(error: BaseException) -> dict[str, Any]:
    trace = ['  File "/srv/comfyui/execution.py", line 921, in validate_inputs\n']
    return {"exception_type": type(error).__name__, "traceback": trace}


def _specs(node: Mapping[str, Any], groups: Mapping[str, Any]) -> list[tuple[str, list[Any], bool]]:
    """Name, definition and whether it is required, of each input; dynamic choices unfolded."""
    specs: list[tuple[str, list[Any], bool]] = []
    for group in ("required", "optional"):
        for name, spec in groups.get(group, {}).items():
            specs.append((name, spec, group == "required"))
            options = spec[1] if len(spec) > 1 else {}
            if spec[0] != "COMFY_DYNAMICCOMBO_V3":
                continue
            for branch in options.get("options", []):
                if branch["key"] == node["inputs"].get(name):
                    inner = _specs({"inputs": {}}, branch["inputs"])
                    specs += [(f"{name}.{one}", found, need) for one, found, need in inner]
    return specs


def _value(
    name: str, value: Any, spec: list[Any], uploaded: Collection[str] | None
) -> list[dict[str, Any]]:
    facts = {"input_name": name, "input_config": spec, "received_value": value}
    kind, options = spec[0], spec[1] if len(spec) > 1 else {}
    if any(options.get(key) for key in _UPLOADS):
        if uploaded is None or value in uploaded:
            return []
        details = f"{name} - Invalid image file: {value}"
        message = "Custom validation failed for node"
        return [error_body("custom_validation_failed", message, details, input_name=name)]
    choices = (
        kind if isinstance(kind, list) else options.get("options") if kind == "COMBO" else None
    )
    if choices is not None:
        if value not in choices:
            details = f"{name}: {value!r} not in {choices}"
            return [error_body("value_not_in_list", "Value not in list", details, **facts)]
        return []
    if kind not in ("INT", "FLOAT"):
        return []
    try:
        number = int(value) if kind == "INT" else float(value)
    except (TypeError, ValueError, OverflowError) as error:
        message = f"Failed to convert an input value to a {kind} value"
        facts["exception_message"] = str(error)
        details = f"{name}, {value}, {error}"
        return [error_body("invalid_input_type", message, details, **facts)]
    if number < options.get("min", number):
        message = f"Value {value} smaller than min of {options['min']}"
        return [error_body("value_smaller_than_min", message, name, **facts)]
    if number > options.get("max", number):
        message = f"Value {value} bigger than max of {options['max']}"
        return [error_body("value_bigger_than_max", message, name, **facts)]
    return []


def _link(
    key: str,
    name: str,
    spec: list[Any],
    prompt: Mapping[str, Any],
    nodes: Nodes,
    found: Errors,
) -> list[dict[str, Any]]:
    value = prompt[key]["inputs"][name]
    facts = {"input_name": name, "input_config": spec}
    if len(value) != 2:
        message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
        facts["received_value"] = value
        return [error_body("bad_linked_input", message, name, **facts)]
    given = nodes[prompt[value[0]]["class_type"]]["output"]
    if value[1] >= len(given):
        raise IndexError("tuple index out of range")
    received, wanted = given[value[1]], "COMBO" if isinstance(spec[0], list) else spec[0]
    if _fits(received, wanted):
        return []
    details = f"{name}, received_type({received}) mismatch input_type({wanted})"
    message = "Return type mismatch between linked nodes"
    extra = {**facts, "received_type": received, "linked_node": value}
    return [error_body("return_type_mismatch", message, details, **extra)]


def _fits(received: str, wanted: str) -> bool:
    anything = ("*", "COMFY_MATCHTYPE_V3")
    if received == wanted or received in anything or wanted in anything:
        return True
    return bool(set(received.split(",")) & set(wanted.split(",")))
