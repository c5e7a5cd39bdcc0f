"""The table of what others get wrong names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_every_row_of_the_list_is_a_test() -> None:
    page = (ROOT / "docs" / "comfyui-jobs.md").read_text()
    rows = page.split("## What others get wrong")[1].splitlines()
    named = {name for row in rows for name in re.findall(r"`(test_\w+)`", row)}
    files = [
        *(ROOT / "tests/integration/media").glob("*.py"),
        *(ROOT / "tests/faults").glob("*.py"),
    ]
    existing = {
        node.name
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert len(named) >= 20
    assert sorted(named - existing) == []
