"""POST /prompt: what ComfyUI refuses, and how it says so (recording 03)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Nodes = Mapping[str, Mapping[str, Any]]


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


def validate(prompt: Mapping[str, Any], nodes: Nodes) -> Verdict:
    """Check every node that an output needs."""
    for key, node in prompt.items():
        class_type = node.get("class_type")
        if class_type not in nodes:
            message = f"Node '{class_type}' not found. The custom node may not be installed."
            extra = {"node_id": key, "class_type": class_type, "node_title": class_type}
            return Verdict(error_body("missing_node_type", message, f"Node ID '#{key}'", **extra))
    outputs = [key for key, node in prompt.items() if nodes[node["class_type"]]["output_node"]]
    if not outputs:
        return Verdict(error_body("prompt_no_outputs", "Prompt has no outputs"))
    verdict = Verdict()
    for output in outputs:
        found: dict[str, list[dict[str, Any]]] = {}
        for key in needed(prompt, output):
            if errors := _node(key, prompt, nodes):
                found[key] = errors
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
            "prompt_outputs_failed_validation", "Prompt outputs failed validation"
        )
    return verdict


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


def _node(key: str, prompt: Mapping[str, Any], nodes: Nodes) -> list[dict[str, Any]]:
    inputs = prompt[key]["inputs"]
    errors = []
    for name, spec in nodes[prompt[key]["class_type"]]["input"].get("required", {}).items():
        if name not in inputs:
            errors.append(
                error_body(
                    "required_input_missing", "Required input is missing", name, input_name=name
                )
            )
            continue
        error = _value(name, inputs[name], spec, prompt, nodes)
        if error is not None:
            errors.append(error)
    return errors


def _value(
    name: str, value: Any, spec: list[Any], prompt: Mapping[str, Any], nodes: Nodes
) -> dict[str, Any] | None:
    facts = {"input_name": name, "input_config": spec, "received_value": value}
    if isinstance(value, list):
        return _link(name, value, spec, prompt, nodes, facts)
    kind, options = spec[0], spec[1] if len(spec) > 1 else {}
    choices = (
        kind if isinstance(kind, list) else options.get("options") if kind == "COMBO" else None
    )
    if choices is not None:
        # The condensed definitions of a machine without models list none.
        if choices and value not in choices:
            details = f"{name}: {value!r} not in {choices}"
            return error_body("value_not_in_list", "Value not in list", details, **facts)
        return None
    if kind not in ("INT", "FLOAT"):
        return None
    try:
        number = int(value) if kind == "INT" else float(value)
    except (TypeError, ValueError) as error:
        message = f"Failed to convert an input value to a {kind} value"
        return error_body("invalid_input_type", message, f"{name}, {value}, {error}", **facts)
    if number < options.get("min", number):
        message = f"Value {value} smaller than min of {options['min']}"
        return error_body("value_smaller_than_min", message, name, **facts)
    if number > options.get("max", number):
        message = f"Value {value} bigger than max of {options['max']}"
        return error_body("value_bigger_than_max", message, name, **facts)
    return None


def _link(
    name: str,
    value: list[Any],
    spec: list[Any],
    prompt: Mapping[str, Any],
    nodes: Nodes,
    facts: dict[str, Any],
) -> dict[str, Any] | None:
    if len(value) != 2:
        message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
        return error_body("bad_linked_input", message, name, **facts)
    kind = "exception_during_inner_validation"
    message = "Exception when validating inner node"
    if value[0] not in prompt:
        return error_body(kind, message, repr(value[0]), **facts)
    outputs = nodes[prompt[value[0]]["class_type"]]["output"]
    if not 0 <= value[1] < len(outputs):
        return error_body(kind, message, "tuple index out of range", **facts)
    given, wanted = outputs[value[1]], spec[0]
    if isinstance(wanted, str) and given != wanted and "*" not in (given, wanted):
        details = f"{name}, received_type({given}) mismatch input_type({wanted})"
        message = "Return type mismatch between linked nodes"
        return error_body("return_type_mismatch", message, details, **facts)
    return None
