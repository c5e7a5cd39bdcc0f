"""Pipelines for tests: the one that is shipped, and small ones made from it."""

from __future__ import annotations

from pathlib import Path

import yaml

from services.orchestrator.engine.definition import Definition, parse_definition

ROOT = Path(__file__).resolve().parents[2] / "configs" / "pipelines"


def shipped(name: str = "four_stages") -> Definition:
    """A pipeline of configs/pipelines."""
    path = ROOT / f"{name}.yaml"
    return parse_definition(yaml.safe_load(path.read_text()), path.name)


FOUR_STAGES = shipped()
PIPELINES = {"four_stages": FOUR_STAGES}
