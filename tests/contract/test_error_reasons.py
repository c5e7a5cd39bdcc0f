"""docs/errors.md lists every reason the code can answer with, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from services.kit.errors import BY_CODE

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "errors.md"
# What makes an error, or passes a reason on to what does.
MAKERS = {kind.__name__ for kind in BY_CODE.values()} | {"RunError", "JsonError", "_bad"}
REASON = re.compile(r"[A-Z][A-Z0-9_]{2,62}")
# Made by services.kit.status from a peer's name and code when the peer did not answer itself.
DERIVED = re.compile(r"(RECORDER|SAFETY|INTERCEPTION|MEDIA|ORCHESTRATOR)_[A-Z_]+")


def _reasons_in_code() -> set[str]:
    found = set()
    for path in (ROOT / "services").rglob("*.py"):
        tree = ast.parse(path.read_text())
        named = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            first = node.args[0]
            reason = first.value if isinstance(first, ast.Constant) else None
            if isinstance(first, ast.Name):
                reason = named.get(first.id)
            if name in MAKERS and isinstance(reason, str) and REASON.fullmatch(reason):
                found.add(reason)
    return found


def _reasons_in_document() -> set[str]:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    return {reason for row in rows for reason in re.findall(r"`([A-Z0-9_]+)`", row.split("|")[1])}


def test_every_reason_of_the_code_is_documented() -> None:
    missing = _reasons_in_code() - _reasons_in_document()
    assert sorted(missing) == [], "add them to docs/errors.md"


def test_every_documented_reason_exists() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "services").rglob("*.py"))
    gone = {
        reason
        for reason in _reasons_in_document()
        if f'"{reason}"' not in code and DERIVED.fullmatch(reason) is None
    }
    assert sorted(gone) == [], "take them out of docs/errors.md"
