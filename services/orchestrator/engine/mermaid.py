"""A pipeline as a Mermaid flowchart, and its conditions in words. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import assert_never

from services.orchestrator.engine.condition import (
    Always,
    Compare,
    Condition,
    Every,
    Exists,
    Matches,
    Not,
    Outcome,
    Some,
)
from services.orchestrator.engine.definition import Definition
from services.orchestrator.engine.graph import Flow, Path
from services.orchestrator.engine.template import Constant, Filling, Template, Text

_SIGNS = {
    "equals": "=",
    "not_equals": "≠",
    "greater": ">",
    "greater_or_equal": "≥",
    "less": "<",
    "less_or_equal": "≤",
    "in": "in",
}
MAX_LABEL = 80


def mermaid(definition: Definition) -> str:
    """Return the flow as a Mermaid flowchart; bodies are subgraphs, paths that lead back dotted."""
    return "\n".join(["flowchart TD", *_lines(definition.flow, "  ")]) + "\n"


def _lines(flow: Flow, indent: str) -> list[str]:
    lines = []
    for step in flow.steps:
        if step.body is None:
            start, end = ("([", "])") if step.id in flow.start_at else ("[", "]")
            label = step.id if step.id == step.kind else f"{step.id}<br/>{step.kind}"
            lines.append(f"{indent}{_node(step.id)}{start}{_quoted(label)}{end}")
        else:
            lines.append(f"{indent}subgraph {_node(step.id)} [{_quoted(step.id)}]")
            lines += _lines(step.body, indent + "  ")
            lines.append(f"{indent}end")
    for path in flow.paths:
        label = path_label(path)
        told = f"|{_quoted(label)}|" if label else ""
        arrow = "-.->" if path.is_loop else "-->"
        lines.append(f"{indent}{_node(path.from_step)} {arrow}{told} {_node(path.to_step)}")
    return lines


def path_label(path: Path) -> str:
    """Return when a path is taken, in words; empty for one that follows success."""
    words = "" if path.condition == Outcome("succeeded") else in_words(path.condition)
    if path.limit is not None:
        words = f"{words}, at most {path.limit}×" if words else f"at most {path.limit}×"
    return words if len(words) <= MAX_LABEL else words[: MAX_LABEL - 1] + "…"


def in_words(condition: Condition) -> str:
    """Return a condition as people read it."""
    match condition:
        case Always():
            return "always"
        case Outcome():
            return condition.state
        case Compare():
            return f"{_told(condition.left)} {_SIGNS[condition.how]} {_told(condition.right)}"
        case Matches():
            return f"{_told(condition.text)} matches {condition.pattern.source}"
        case Exists():
            return f"{_told(condition.template)} exists"
        case Every():
            return " and ".join(_inner(part) for part in condition.parts)
        case Some():
            return " or ".join(_inner(part) for part in condition.parts)
        case Not():
            return f"not {_inner(condition.part)}"
        case _:
            assert_never(condition)


def _inner(condition: Condition) -> str:
    words = in_words(condition)
    return f"({words})" if isinstance(condition, Every | Some) else words


def _told(filling: Filling) -> str:
    if isinstance(filling, Template):
        return " ?? ".join(
            json.dumps(one.value, ensure_ascii=False) if isinstance(one, Constant) else str(one)
            for one in filling.alternatives
        )
    if isinstance(filling, Text):
        return "".join(part if isinstance(part, str) else _told(part) for part in filling.parts)
    if isinstance(filling, tuple):
        return f"[{', '.join(_told(one) for one in filling)}]"
    if isinstance(filling, Mapping):
        return "{…}"
    return json.dumps(filling, ensure_ascii=False)


def _node(step_id: str) -> str:
    # Some ids are words of Mermaid, such as `end`.
    return f"s_{step_id}"


def _quoted(label: str) -> str:
    # Labels hold what a file says; nothing of it may end the label or be taken for markup.
    safe = label.replace("<br/>", "\0")
    for sign, code in (
        ("#", "#35;"),
        ('"', "#quot;"),
        ("<", "#lt;"),
        (">", "#gt;"),
        ("|", "#124;"),
    ):
        safe = safe.replace(sign, code)
    return '"' + safe.replace("\n", " ").replace("\0", "<br/>") + '"'
